"""`millrace configs preview`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from infra.cli.configs_options import Last, MaybeConfigPaths, Scenario, Tenant, Url, open_api
from infra.cli.configs_tables import change_lines, plain, table, verdict, when
from infra.cli.run import answers
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.client import ConfigApi
from infra.configs.files import read_configs
from infra.configs.plan import candidate_of, plan
from infra.errors import OperatorError
from tracking_configs.field_rules import shortened

EXAMPLE: Final = 400  # characters of an event on a screen; --json has it whole
OUTCOMES: Final = ("pass", "warn", "reject")


def preview(
    tenant: Tenant,
    scenario: Scenario,
    file: MaybeConfigPaths = None,
    draft: Annotated[bool, typer.Option("--draft", help="The config that `suggest` proposed last.")] = False,
    last: Last = 1000,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Judge real events by a file's config, or the draft, and by the one in force: what passes, warns, is rejected.

    Without -f and --draft it is the config in force, by both. Nothing is changed.
    """
    if file and draft:
        raise typer.BadParameter("name one candidate", param_hint="-f, --draft")
    with open_api(url, data_dir) as api:
        found = api.preview(tenant, scenario, _candidate(api, tenant, scenario, file or (), draft), last)
    if as_json:
        print_json(found)
    else:
        _show(found["change"], found["preview"])


def _candidate(api: ConfigApi, tenant: str, scenario: str, files: Sequence[Path], draft: bool) -> dict[str, Any]:
    """The candidate as the API takes it. Raises OperatorError where there is none."""
    if draft:
        return {"draft": True}
    if not files:
        api.get(tenant, scenario)
        return {"config": {}}
    named = [each for each in read_configs(*files) if each.key == (tenant, scenario)]
    if not named:
        raise OperatorError(
            f"{', '.join(map(str, files))}: no config of {tenant}/{scenario}: name another file, or its own scenario"
        )
    [step] = plan(named, api.find)
    return candidate_of(step)


def _show(change: dict[str, Any] | None, found: dict[str, Any]) -> None:
    console = answers()
    if change is not None:
        console.print("by its text: ", verdict(change["verdict"]), sep="")
        for line in change_lines(change):
            console.print(line)
    if found["window"] is None:
        console.print("there are no events to judge")
        return
    console.print(f"{found['events']:,} events, from {when(found['window']['from'])} to {when(found['window']['to'])}")
    rows: list[tuple[Any, ...]] = [(row, *(found[row][each] for each in OUTCOMES)) for row in ("now", "then")]
    rows.append(("newly", *(found["changed"][f"newly_{each}"] for each in OUTCOMES)))
    console.print(table(("", *OUTCOMES), rows, numbers=OUTCOMES))
    for reason in found["reasons"]:
        _show_reason(reason)


def _show_reason(reason: dict[str, Any]) -> None:
    console = answers()
    counted = f"{reason['count']:,} ({reason['new']:,} new)"
    said = f"{reason['verdict']} {counted}: {reason['field']} {reason['code']}: {reason['message']}"
    console.print(plain(said), markup=False)
    example = reason["example"]
    text = example if isinstance(example, str) else msgspec.json.encode(example).decode()
    console.print(f"    for example {plain(shortened(text, EXAMPLE))}", markup=False)
