"""`millrace dead-letters list`, `show`, `parked` and `resume`."""

from typing import Annotated, Any

import typer

from infra.cli.configs_tables import plain, table, when
from infra.cli.dead_letters_options import Place, Reason, Scenario, Since, Tenant, Until, Url, open_api
from infra.cli.run import answers, remarks
from infra.cli.running import AsJson, DataDir, print_json


def list_letters(
    tenant: Tenant,
    reason: Reason = None,
    scenario: Scenario = None,
    since: Since = None,
    until: Until = None,
    replayed: Annotated[
        bool | None, typer.Option("--replayed/--not-replayed", help="Whether they were replayed.", show_default="all")
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="So many of the newest.")] = 50,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters: what was rejected, and why; the newest first."""
    wanted = {"tenant": tenant, "reason": reason, "scenario": scenario, "since": since, "until": until}
    with open_api(url, data_dir) as api:
        found = list(api.letters(wanted | {"replayed": replayed}, last))
        waiting = api.parked(tenant)
    if as_json:
        print_json(found)
        return
    columns = ("place", "arrived", "scenario", "why", "replayed")
    answers().print(table(columns, map(_row, found)))
    _say_parked(waiting)


def _row(letter: dict[str, Any]) -> tuple[Any, ...]:
    replayed = letter["replayed"]
    done = "" if replayed is None else f"{when(replayed['replayed_at'])} {replayed['outcome']}"
    place = f"{letter['partition']}:{letter['offset']}"
    return place, when(letter["timestamp"]), letter["scenario_id"], letter["message"][:200], done


def show(
    tenant: Tenant,
    place: Place,
    topic: Annotated[str | None, typer.Option(help="Its topic.", show_default="the tenant's raw topic")] = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter: every error, which config judged it, and the bytes as they came (base64 where no text)."""
    partition, offset = map(int, place.split(":"))
    with open_api(url, data_dir) as api:
        found = api.letter(tenant, partition, offset, topic)
    if as_json:
        print_json(found)
        return
    for name, value in _facts(found):
        typer.echo(f"{name:<10}{plain(value)}")
    for error in found["errors"]:
        typer.echo(f"{error['code']:<10}{plain(error['field'] or 'event')}: {plain(error['message'])}")
    typer.echo(plain(found["original"]))


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    replayed = found["replayed"]
    version = found["config_version"]
    return [
        ("record", f"{found['topic']}/{found['partition']}/{found['offset']}"),
        ("arrived", when(found["timestamp"])),
        ("scenario", found["scenario_id"] or "none named"),
        ("config", f"version {version}" if version else "none"),
        ("replayed", "no" if replayed is None else f"{when(replayed['replayed_at'])} as {replayed['event_id']}"),
        ("bytes", f"{found['bytes']}, shown as {found['encoding']}"),
    ]


def parked(tenant: Tenant, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Whether the tenant's raw events wait because most of them were rejected."""
    with open_api(url, data_dir) as api:
        found = api.parked(tenant)
    if as_json:
        print_json(found)
    elif found["is_parked"]:
        typer.echo(_parked_line(found))
    else:
        typer.echo(f"{tenant}: no raw events wait")


def resume(tenant: Tenant, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Judge a parked tenant's raw events on, from where they stand; it is parked again where most are rejected."""
    with open_api(url, data_dir) as api:
        before = api.resume(tenant)
    if as_json:
        print_json({"tenant": tenant, "was_parked": before["is_parked"]})
    elif before["is_parked"]:
        typer.echo(f"{tenant}: its raw events are judged on")
    else:
        typer.echo(f"{tenant}: no raw events wait, nothing to do")


def _say_parked(waiting: dict[str, Any]) -> None:
    if waiting["is_parked"]:
        remarks().print(plain(_parked_line(waiting)), style="red", markup=False)


def _parked_line(found: dict[str, Any]) -> str:
    tenant, reasons = found["tenant"], ", ".join(f"{agent}: {why}" for agent, why in sorted(found["reasons"].items()))
    return f"{tenant} is parked ({reasons}): mend its configs, or `millrace dead-letters resume {tenant}`"
