"""`millrace sql`."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.markup import escape
from rich.table import Table

from infra.cli.configs_tables import plain
from infra.cli.run import answers, run_async
from infra.cli.running import AsJson, DataDir, cli_settings, print_json
from infra.connections import open_clickhouse
from infra.dsn import redact
from infra.errors import OperatorError, ServerAwayError

MAX_ROWS: Final = 10_000  # a table on a screen; larger answers belong to a client of ClickHouse


def sql(
    query: Annotated[
        str, typer.Argument(help="A query of ClickHouse, for example: SELECT * FROM user_behaviors LIMIT 5")
    ],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run a query on ClickHouse and show its answer as a table; with --json, one object a line."""
    settings, _ = cli_settings(data_dir)
    names, rows = run_async(ask(settings.clickhouse.get_secret_value(), query))
    if as_json:
        for row in rows:
            print_json(dict(zip(names, row, strict=True)))
        return
    if names:
        answers().print(as_table(names, rows[:MAX_ROWS]))
    dropped = f", the first {MAX_ROWS:,} shown" if len(rows) > MAX_ROWS else ""
    typer.echo(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{dropped}", err=True)


async def ask(dsn: str, query: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """Column names and rows. Raises OperatorError with the engine's own first line, or ServerAwayError."""
    try:
        client = await open_clickhouse(dsn)
    except (ClickHouseError, OSError) as error:
        raise ServerAwayError(
            f"ClickHouse does not answer at {redact(dsn)}: start it, or see `millrace doctor`"
        ) from error
    try:
        answer = await client.query(query.rstrip().rstrip(";"))
        return answer.column_names, answer.result_rows
    except ClickHouseError as error:
        raise OperatorError(f"ClickHouse refused the query: {redact(str(error)).strip()}") from error
    finally:
        await client.close()


def as_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table of any values; numbers to the right."""
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(names):
        numeric = all(isinstance(row[index], int | float) for row in rows) and bool(rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(plain(value)) for value in row))
    return table
