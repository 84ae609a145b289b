"""Holds the direction in which the rooms may import one another."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": set(),
    "tracking_configs": {"schemas"},
    "recommenders": {"schemas"},
    "streams": {"schemas", "tracking_configs"},
    "ingest_api": {"schemas", "tracking_configs", "recommenders"},
    "infra": {"schemas", "tracking_configs", "recommenders", "streams", "ingest_api"},
}
READ_SIDE = {
    "recommenders.hot_lists",
    "recommenders.read",
    "recommenders.scenes",
}  # what the doors may see of the recommenders
# Scenarios are data. The doors have the game's own form by contract, and infra has the demo's films.
KNOWS_NO_SCENARIO = ("schemas", "tracking_configs", "recommenders", "streams", "infra/roles")


def imports_of(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def files_of(room: str) -> list[Path]:
    return [file for file in sorted((ROOT / room).rglob("*.py")) if "generated" not in file.parts]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    strangers = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files_of(room)
        for name in imports_of(file)
        if (top := name.split(".")[0]) in MAY_IMPORT.keys() | {"tests"} and top not in allowed
    }
    assert not strangers


def test_the_doors_see_only_the_read_side_of_the_recommenders() -> None:
    seen = {name for file in files_of("ingest_api") for name in imports_of(file) if name.startswith("recommenders.")}
    assert {".".join(name.split(".")[:2]) for name in seen} <= READ_SIDE


def test_only_infra_reads_the_environment() -> None:
    readers = {
        str(file.relative_to(ROOT))
        for room in MAY_IMPORT.keys() - {"infra"}
        for file in files_of(room)
        if "os.environ" in file.read_text() or "os.getenv" in file.read_text()
    }
    assert not readers


def scenario_names() -> set[str]:
    """The ids of the templates, and the keys of their payloads."""
    ids = {file.stem for file in (ROOT / "tracking_configs" / "templates").glob("*.yaml")}
    return ids | {f"{each}_data" for each in ids}


def test_no_scenario_name_occurs_in_code() -> None:
    names = scenario_names()
    assert {"video", "video_data"} <= names
    named = {
        f"{file.relative_to(ROOT)}:{node.lineno} says {node.value!r}"
        for room in KNOWS_NO_SCENARIO
        for file in files_of(room)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    assert not named


def test_no_folder_stands_at_the_top_that_was_not_agreed() -> None:
    agreed = {*MAY_IMPORT, "tests", "docs"}
    tracked = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))}
    assert tracked - {"htmlcov", "dist"} <= agreed
