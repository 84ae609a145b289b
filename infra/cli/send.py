"""`millrace send`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.cli.run import remarks, run_async
from infra.cli.running import AsJson, DataDir, Running, cli_settings, http_url, print_json, read_endpoints
from infra.cli.warnings_ahead import WarningCounter
from infra.connections import Deps, open_deps
from infra.doors.door import Addresses, DoorName, open_door
from infra.doors.sending import Sent, send_all
from infra.errors import OperatorError
from infra.settings import Settings, load_settings
from schemas.topics import is_tenant

LONGEST_REASONS: Final = 10


def send(
    file: Annotated[Path, typer.Argument(help="One JSON object a line; - reads stdin.")],
    tenant: Annotated[str, typer.Option(help="Tenant of the events (an event that names its own keeps it).")],
    door: Annotated[DoorName, typer.Option(help="By which door.")],
    scenario: Annotated[str | None, typer.Option(help="Scenario of events that name none.")] = None,
    rate: Annotated[float | None, typer.Option(min=1, help="At most so many events a second.")] = None,
    endpoints: Annotated[Path | None, typer.Option(help="endpoints.json of the platform to send to.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send a file of events, one JSON object a line, by one of the three doors.

    Prints what was accepted, warned and rejected, and p50 and p99 of a call (a batch). By Kafka nobody answers for
    the events: warned and rejected are then what the stream will find.
    """
    if not is_tenant(tenant):
        raise typer.BadParameter(
            "lower-case letters, digits, - and _, at most 63, none of the reserved", param_hint="--tenant"
        )
    if str(file) != "-" and not file.is_file():
        raise OperatorError(f"{file} is no file: name one with a JSON object a line, or - for stdin")
    settings, addresses = find_platform(endpoints, data_dir)
    lines = Lines(file, tenant, scenario)
    summary = run_async(_send(settings, addresses, lines, door, rate))
    if as_json:
        print_json(summary)
    else:
        _show(summary)
    if summary["unavailable"]:
        raise OperatorError(
            f"{summary['unavailable']:,} events were not taken, Kafka being away: send them again later"
        )
    if summary["sent"] == 0:
        raise OperatorError(f"{file} holds no events: one JSON object a line is expected")


def find_platform(endpoints: Path | None, data_dir: Path | None) -> tuple[Settings, Addresses]:
    """The settings, and where the doors are: as a file says, as a running platform says, or as the settings say."""
    running: Running | None
    if endpoints is not None:
        running = read_endpoints(endpoints)
        settings = load_settings(running.dsns()).with_overrides(**running.dsns())
    else:
        settings, running = cli_settings(data_dir)
    grpc = running.grpc if running is not None else f"{settings.grpc_host}:{settings.grpc_port}"
    return settings, Addresses(http_url(settings, running), grpc)


class Lines:
    """The events of a file, given the scenario they lack; blank lines are none."""

    def __init__(self, file: Path, tenant: str, scenario: str | None) -> None:
        self.file = file
        self.tenant = tenant
        self._scenario = scenario

    @property
    def size(self) -> int | None:
        """Bytes of the file; None where it has no size."""
        return self.file.stat().st_size if self.file.is_file() else None

    def read(self) -> Iterator[bytes]:
        source = sys.stdin.buffer if str(self.file) == "-" else self.file.open("rb")
        with source:
            for line in source:
                if body := line.strip():
                    yield self._complete(body)

    def _complete(self, body: bytes) -> bytes:
        given = {"tenant_id": self.tenant, "scenario_id": self._scenario}
        lacking = {name: value for name, value in given.items() if value and f'"{name}"'.encode() not in body}
        if not lacking or not body.startswith(b"{"):
            return body
        rest = body[1:].lstrip()
        return msgspec.json.encode(lacking)[:-1] + (b"" if rest.startswith(b"}") else b",") + rest


async def _send(
    settings: Settings, addresses: Addresses, lines: Lines, door: DoorName, rate: float | None
) -> dict[str, Any]:
    async with open_deps(settings) as deps:
        foreseen = await WarningCounter.load(deps, door)
        sent = await _send_with_bar(deps, addresses, foreseen.watch(lines.read(), lines.tenant), lines, door, rate)
    rejected = foreseen.rejected if door == "kafka" else sent.rejected
    return {
        "door": door,
        "sent": sent.total,
        "accepted": sent.total - sent.unavailable - (rejected or 0),
        "warned": foreseen.warned,
        "rejected": rejected,
        "unavailable": sent.unavailable,
        "reasons": dict(sent.reasons.most_common(LONGEST_REASONS)),
        "seconds": round(sent.seconds, 3),
        "events_per_s": round(sent.per_second),
        "p50_ms": round(sent.percentile_ms(0.50), 2),
        "p99_ms": round(sent.percentile_ms(0.99), 2),
    }


async def _send_with_bar(
    deps: Deps, addresses: Addresses, events: Iterator[bytes], lines: Lines, name: DoorName, rate: float | None
) -> Sent:
    counted = sum(1 for _ in lines.read()) if lines.size is not None and lines.size < 512 * 1024**2 else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = not os.isatty(2)
    with Progress(*columns, console=remarks(), transient=True, disable=quiet) as progress:
        bar = progress.add_task(f"{name}", total=counted)
        async with open_door(name, lines.tenant, addresses, deps) as door:
            return await send_all(
                door, events, rate=rate, on_progress=lambda sent: progress.update(bar, completed=sent.total)
            )


def _show(summary: dict[str, Any]) -> None:
    def count(name: str) -> str:
        return "unknown" if summary[name] is None else f"{summary[name]:,}"

    typer.echo(
        f"{summary['sent']:,} sent by {summary['door']}: {count('accepted')} accepted "
        f"({count('warned')} of them warned), {count('rejected')} rejected; {summary['events_per_s']:,} events/s, "
        f"a call p50 {summary['p50_ms']} ms, p99 {summary['p99_ms']} ms"
    )
    for reason, times in summary["reasons"].items():
        typer.echo(f"  {times:,} x {reason}")
