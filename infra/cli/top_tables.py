"""The tables of `millrace top`."""

from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from infra.cli.top_rows import GroupLag, Picture, ProcessRow, TenantRow

GROUPS: Final = {f"millrace-{role}": role for role in ("judge", "features", "analytics", "recommend")}
UNBOUNDED: Final = Console(width=10_000, height=1)  # both, or a dumb terminal's 80 columns would bound it


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
        table.add_row(
            escape(row.tenant),
            _rate(row.in_per_s),
            _rate(row.rejected_per_s),
            _duration(row.age_p99_s),
            "parked" if row.parked else _most_lag(row),
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


def _most_lag(row: TenantRow) -> str:
    group, lag = max(row.lag.items(), key=lambda entry: entry[1].records, default=("", None))
    return escape(f"{GROUPS.get(group, group)} {_lag(lag)}") if lag and lag.records else _lag(lag)


def _duration(seconds: float | None) -> str:
    """Two digits that matter: 4 ms, 1.2 s, 3 min, 5 h."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
