"""What `millrace top` shows, made of two looks at the platform's metrics."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from infra.scrapes import Labels, Scrape, quantile

JUDGE: Final = "millrace-judge"
FEATURES_SINK: Final = "redis"


class GroupLag(msgspec.Struct, frozen=True):
    """`seconds`: age of the oldest record that waits, or at least that."""

    records: int
    seconds: float


class TenantRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant between two looks; None where nobody said.

    `in_per_s`: events that came by any door: those the stream judged or queued, and those a door rejected.
    `age_*`: from arrival to features. `parked`: agent -> why the tenant's events wait.
    """

    tenant: str
    in_per_s: float | None
    accepted_per_s: float
    warned_per_s: float
    rejected_per_s: float
    lag: dict[str, GroupLag]
    age_p50_s: float | None
    age_p99_s: float | None
    lists_per_s: float
    parked: dict[str, str]

    @property
    def behind(self) -> int:
        return max((lag.records for lag in self.lag.values()), default=0)


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One process; `problem` says why it does not answer, and then nothing else is known."""

    process: str
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    up_since: datetime | None = None
    problem: str = ""


class Picture(msgspec.Struct, frozen=True):
    """Tenants that wait or lag come first, then the busiest."""

    interval_s: float
    tenants: list[TenantRow]
    processes: list[ProcessRow]


def picture(before: Scrape, now: Scrape) -> Picture:
    rows = sorted(
        _tenants(before, now), key=lambda row: (not row.parked, -row.behind, -(row.in_per_s or 0), row.tenant)
    )
    names = sorted([*now.samples, *now.problems])
    return Picture(round(now.seconds_since(before), 3), rows, [_process(before, now, name) for name in names])


def _tenants(before: Scrape, now: Scrape) -> Iterator[TenantRow]:
    judged = _by_tenant(now.rates_since(before, "millrace_events_judged_total", "tenant", "verdict"))
    refused = _by_tenant(now.rates_since(before, "millrace_events_received_total", "tenant", "verdict"))
    lag_then = _by_tenant(before.values("millrace_consumer_lag_records", "tenant", "group"))
    lag = _by_tenant(now.values("millrace_consumer_lag_records", "tenant", "group"))
    seconds = _by_tenant(now.largest("millrace_consumer_lag_seconds", "tenant", "group"))
    ages = _by_tenant(now.counted_since(before, "millrace_event_age_seconds_bucket", "tenant", "sink", "le"))
    lists = _by_tenant(now.rates_since(before, "millrace_rec_lists_written_total", "tenant"))
    parked = _by_tenant(now.largest("millrace_tenant_parked", "tenant", "agent", "reason"))
    for tenant in {*judged, *refused, *lag, *lists, *parked}:
        verdicts, behind, waits_s = judged[tenant], lag[tenant], seconds[tenant]
        within = {float(le): events for (sink, le), events in ages[tenant].items() if sink == FEATURES_SINK}
        queued = _grown(lag_then[tenant], behind)
        refused_per_s = refused[tenant].get(("rejected",), 0.0)
        judged_per_s = sum(verdicts.values()) + refused_per_s
        yield TenantRow(
            tenant=tenant,
            in_per_s=None if queued is None else max(0.0, judged_per_s + queued / now.seconds_since(before)),
            accepted_per_s=verdicts.get(("accepted",), 0.0),
            warned_per_s=verdicts.get(("warned",), 0.0),
            rejected_per_s=verdicts.get(("rejected",), 0.0) + refused_per_s,
            lag={group: GroupLag(int(n), waits_s.get((group,), 0.0)) for (group,), n in sorted(behind.items())},
            age_p50_s=quantile(within, 0.5),
            age_p99_s=quantile(within, 0.99),
            lists_per_s=lists[tenant].get((), 0.0),
            parked={agent: reason for (agent, reason), is_parked in parked[tenant].items() if is_parked},
        )


def _by_tenant(found: Mapping[Labels, float]) -> defaultdict[str, dict[Labels, float]]:
    """tenant, the first label -> the other labels -> value."""
    tenants: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    for (tenant, *others), value in found.items():
        tenants[tenant][tuple(others)] = value
    return tenants


def _grown(then: Mapping[Labels, float], now: Mapping[Labels, float]) -> float | None:
    """Records that joined the judge's queue, or left it; None where it did not say both times how long that is."""
    key = (JUDGE,)
    return now[key] - then[key] if key in then and key in now else None


def _process(before: Scrape, now: Scrape, name: str) -> ProcessRow:
    if name in now.problems:
        return ProcessRow(process=name, problem=now.problems[name])
    started = now.of_process(name, "process_start_time_seconds")
    rss = now.of_process(name, "process_resident_memory_bytes")
    cpu = now.of(name).rates_since(before.of(name), "process_cpu_seconds_total").get(())
    return ProcessRow(
        process=name,
        cpu_percent=None if cpu is None else 100 * cpu,
        rss_bytes=None if rss is None else int(rss),
        up_since=None if started is None else datetime.fromtimestamp(started, UTC),
    )
