"""ClickHouse migrations: numbered files of one statement each, forward only, safe to run again."""

from importlib import resources


def migrations() -> list[tuple[str, str]]:
    """(file name, statement) of every migration, in order."""
    files = sorted(resources.files("schemas.ddl").iterdir(), key=lambda file: file.name)
    return [(file.name, file.read_text().rstrip().rstrip(";")) for file in files if file.name.endswith(".sql")]
