"""`millrace configs suggest`."""

import shlex
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from infra.cli.configs_options import Last, Scenario, Tenant, Url, open_api
from infra.cli.configs_tables import plain, table
from infra.cli.run import answers
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.file_form import file_text
from infra.errors import OperatorError
from tracking_configs.model import parse_draft

FIELD_COLUMNS: Final = ("field", "type", "required", "values", "seen", "missing", "confidence", "notes")


class Source(StrEnum):
    """Where the events are."""

    CLICKHOUSE = "clickhouse"
    TOPIC = "topic"


def suggest(
    tenant: Tenant,
    scenario: Scenario,
    source: Annotated[
        Source, typer.Option("--from", help="Events that were taken, or the raw topic.")
    ] = Source.CLICKHOUSE,
    hours: Annotated[int, typer.Option(min=1, max=744, help="So far back, in ClickHouse.")] = 1,
    last: Last = 5000,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it as a file for `apply`.")] = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Propose a config from real events, with what speaks for each part; it is saved as the scenario's draft."""
    with open_api(url, data_dir) as api:
        found = api.suggest(tenant, scenario, source.value, hours, last)
    if output is not None:
        _write(output, found["draft"])
    if as_json:
        print_json(found)
        return
    _show(found)
    _say_how_to_go_on(tenant, scenario, output)


def _write(path: Path, draft: dict[str, Any]) -> None:
    try:
        path.write_text(file_text(parse_draft(draft)), "utf-8")
    except OSError as error:
        raise OperatorError(f"{path} cannot be written ({error.strerror}): name another file with -o") from error


def _show(found: dict[str, Any]) -> None:
    console, nearest = answers(), found["template"]
    runner_up = f"; next would be {nearest['runner_up']}" if nearest["runner_up"] else ""
    of_type = f"{nearest['id']}, confidence {nearest['confidence']:.2f} ({nearest['why']}{runner_up})"
    console.print(plain(f"{found['events']:,} events; scenario type {of_type}"), markup=False)
    console.print(table(FIELD_COLUMNS, _field_rows(found), numbers=("seen", "missing", "confidence")))
    console.print(table(("action", "events"), found["actions"].items(), numbers=("events",)))
    if found["left_out"]:
        rows = ((each["kind"], each["name"], each["seen"], each["why"]) for each in found["left_out"])
        console.print(table(("left out", "name", "seen", "why"), rows, numbers=("seen",)))


def _field_rows(found: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    draft = found["draft"]
    specs = {spec["field_name"]: spec for spec in (*draft["required_fields"], *draft["optional_fields"])}
    for field in found["fields"]:
        spec = specs[field["name"]]
        required = ", ".join(spec["required_for"]) or "always" if spec["required"] else ""
        confidence = f"{field['confidence']:.2f}"
        counts = (field["seen"], field["missing"], confidence)
        yield field["name"], spec["field_type"], required, _values(field, spec), *counts, "; ".join(field["notes"])


def _values(field: dict[str, Any], spec: dict[str, Any]) -> str:
    if spec["enum_values"] is not None:
        return f"{field['distinct']} of {', '.join(map(str, spec['enum_values']))}"
    return "" if field["min"] is None else f"{field['min']} to {field['max']}"


def _say_how_to_go_on(tenant: str, scenario: str, output: Path | None) -> None:
    named = shlex.join((tenant, scenario))
    typer.echo(f"saved as the draft of {tenant}/{scenario}; try it: millrace configs preview {named} --draft")
    if output is None:
        typer.echo(f"put it in force: millrace configs suggest {named} -o FILE; millrace configs apply -f FILE")
    else:
        typer.echo(f"put it in force: millrace configs apply -f {shlex.quote(str(output))}")
