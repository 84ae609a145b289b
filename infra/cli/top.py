"""`millrace top`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import httpx
import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from infra.cli.run import answers, run_async
from infra.cli.running import AsJson, DataDir, find_running
from infra.cli.top_rows import GroupLag, Picture, ProcessRow, TenantRow, picture
from infra.errors import OperatorError
from infra.scrapes import scrape
from infra.settings import load_settings

METRICS_FILE: Final = "metrics.json"
GROUPS: Final = {f"millrace-{role}": role for role in ("judge", "features", "analytics", "recommend")}
UNBOUNDED: Final = Console(width=10_000, height=1)  # both, or a dumb terminal's 80 columns would bound it
HEADINGS: Final = 6  # lines of the screen that are no tenants': headings, and what is between the tables


def top(
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, show the rates between, and end.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what each tenant of a running `millrace up` is doing: rates, lag, age of features; and each process.

    Rates are between two looks. Tenants that are parked or behind come first; a process that is down is said so.
    """
    run_async(_watch(data_dir or load_settings().data_dir, interval, once=once, as_json=as_json))


def metrics_addresses(data_dir: Path) -> dict[str, str]:
    """Role -> URL, as `millrace up` wrote them. Raises OperatorError where none runs."""
    if find_running(data_dir) is None:
        raise OperatorError(
            f"no platform runs with its data in {data_dir}: start `millrace up`, or name its --data-dir"
        )
    path = data_dir / METRICS_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorError(f"{path} is not what `millrace up` writes ({error}): start the platform again") from error


async def _watch(data_dir: Path, interval_s: float, *, once: bool, as_json: bool) -> None:
    console = answers()
    pictures = _pictures(data_dir, interval_s)
    if once or as_json or not console.is_terminal:
        async for found in pictures:
            if as_json:
                typer.echo(msgspec.json.encode(found))
            else:
                console.print(view(found, console.width))
            if once:
                return
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(Text(f"Looking for {interval_s:g} s ..."), refresh=True)
        async for found in pictures:
            live.update(view(found, console.width, max_tenants=_room(console, found)), refresh=True)


async def _pictures(data_dir: Path, interval_s: float) -> AsyncIterator[Picture]:
    """One an interval, until the platform ends."""
    async with httpx.AsyncClient() as client:
        before = await scrape(metrics_addresses(data_dir), client)
        while True:
            await asyncio.sleep(interval_s)
            now = await scrape(metrics_addresses(data_dir), client)
            yield picture(before, now)
            before = now


def _room(console: Console, found: Picture) -> int:
    return max(1, console.height - len(found.processes) - HEADINGS)


def view(found: Picture, width: int, *, max_tenants: int | None = None) -> Group:
    """Both tables; of more than `max_tenants` the others are counted. What is too wide is told in fewer columns."""
    shown = found.tenants[:max_tenants]
    hidden = len(found.tenants) - len(shown)
    groups = sorted({group for row in found.tenants for group in row.lag} | GROUPS.keys(), key=_column)
    left_out = [Text(f"and {hidden} more tenants", style="dim")] if hidden else []
    tenants = _tenants_table(shown, groups)
    if UNBOUNDED.measure(tenants).maximum > width:
        tenants = _narrow_tenants_table(shown, width)
    return Group(tenants, *left_out, Text(), _processes_table(found.processes))


def _column(group: str) -> tuple[int, str]:
    """In the order of an event's way, others behind."""
    return (list(GROUPS).index(group) if group in GROUPS else len(GROUPS), group)


def _tenants_table(rows: list[TenantRow], groups: list[str]) -> Table:
    table = _table("tenant")
    for heading in ("in/s", "accepted/s", "warned/s", "rejected/s", *(f"lag {GROUPS.get(g, g)}" for g in groups)):
        table.add_column(heading, justify="right")
    for heading in ("age p50", "age p99", "lists/s"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        rates = (row.in_per_s, row.accepted_per_s, row.warned_per_s, row.rejected_per_s)
        table.add_row(
            escape(row.tenant),
            *map(_rate, rates),
            *(_lag(row.lag.get(group)) for group in groups),
            _duration(row.age_p50_s),
            _duration(row.age_p99_s),
            _rate(row.lists_per_s),
            escape(" ".join(f"parked: {agent} ({why})" for agent, why in row.parked.items())),
            style="red" if row.parked else "",
        )
    return table


def _narrow_tenants_table(rows: list[TenantRow], width: int) -> Table:
    """Names are cut to a quarter of the width; of lags there is that of the group which is furthest behind."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tenant", max_width=max(12, width // 4), no_wrap=True)
    for heading in ("in/s", "rejected/s", "age p99"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most lag")
    for row in rows:
        group, lag = max(row.lag.items(), key=lambda entry: entry[1].records, default=("", None))
        table.add_row(
            escape(row.tenant),
            _rate(row.in_per_s),
            _rate(row.rejected_per_s),
            _duration(row.age_p99_s),
            "parked" if row.parked else escape(f"{GROUPS.get(group, group)} {_lag(lag)}") if lag else "-",
            style="red" if row.parked else "",
        )
    return table


def _processes_table(rows: list[ProcessRow]) -> Table:
    table = _table("process")
    for heading in ("cpu", "memory", "up for"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        cpu = "-" if row.cpu_percent is None else f"{row.cpu_percent:.0f} %"
        memory = "-" if row.rss_bytes is None else f"{row.rss_bytes / 2**20:,.0f} MiB"
        up_s = None if row.up_since is None else (datetime.now(UTC) - row.up_since).total_seconds()
        down = f"down: {row.problem}" if row.problem else ""
        table.add_row(row.process, cpu, memory, _duration(up_s), escape(down), style="red" if down else "")
    return table


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    return table


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s:,.0f}" if per_s >= 10 or not per_s else f"{per_s:.1f}"


def _lag(lag: GroupLag | None) -> str:
    if lag is None:
        return "-"
    return f"{lag.records:,} ({_duration(lag.seconds)})" if lag.records else "0"


def _duration(seconds: float | None) -> str:
    """Two digits that matter: 4 ms, 1.2 s, 3 min, 5 h."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
