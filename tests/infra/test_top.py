"""`millrace top`: two looks at metrics become rows, and on a running platform it shows what is going on."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from rich.console import Console

from infra.cli.top import metrics_addresses
from infra.cli.top_rows import JUDGE, GroupLag, Picture, TenantRow, picture
from infra.cli.top_tables import view
from infra.errors import OperatorError
from infra.platform import METRICS_FILE, ROLES, Platform, start_platform
from infra.scrapes import Scrape, quantile, samples_of, scrape
from infra.stack.kinds import NotSetUpError, StackKind
from schemas.ages import EventAges
from tests.conftest import unavailable
from tests.factories import NOON

WAIT_S = 60.0


class Process:
    """A process' metrics, as the platform names them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.judged = self._counter("millrace_events_judged", "tenant", "verdict")
        self.received = self._counter("millrace_events_received", "door", "tenant", "verdict")
        self.ages = EventAges()
        self.registry.register(self.ages)
        self.cpu = self._counter("process_cpu_seconds")
        self.lag = self._gauge("millrace_consumer_lag_records", "group", "tenant")
        self.lag_s = self._gauge("millrace_consumer_lag_seconds", "group", "tenant")
        self.parked = self._gauge("millrace_tenant_parked", "agent", "tenant", "reason")
        self.started = self._gauge("process_start_time_seconds")

    def page(self) -> str:
        return generate_latest(self.registry).decode()

    def _counter(self, name: str, *labels: str) -> Counter:
        return Counter(name, name, labels, registry=self.registry)

    def _gauge(self, name: str, *labels: str) -> Gauge:
        return Gauge(name, name, labels, registry=self.registry)


def look(at_s: float, problems: Mapping[str, str] | None = None, **processes: Process) -> Scrape:
    return Scrape(at_s, {name: samples_of(process.page()) for name, process in processes.items()}, problems or {})


def row_of(found: Picture, tenant: str) -> TenantRow:
    return next(row for row in found.tenants if row.tenant == tenant)


def test_rates_are_what_was_counted_between_two_looks_a_second() -> None:
    process = Process()
    process.judged.labels("acme", "accepted").inc(500)
    before = look(10.0, stream=process)
    process.judged.labels("acme", "accepted").inc(100)
    process.judged.labels("acme", "rejected").inc(4)
    process.received.labels("http", "acme", "rejected").inc(6)
    row = row_of(picture(before, look(12.0, stream=process)), "acme")
    assert (row.accepted_per_s, row.warned_per_s, row.rejected_per_s) == (50, 0, 5)


def test_what_came_in_is_what_was_judged_and_what_joined_the_queue() -> None:
    process = Process()
    process.lag.labels(JUDGE, "acme").set(10)
    process.judged.labels("acme", "accepted").inc(100)
    before = look(0.0, stream=process)
    process.lag.labels(JUDGE, "acme").set(70)
    process.judged.labels("acme", "accepted").inc(20)
    assert row_of(picture(before, look(2.0, stream=process)), "acme").in_per_s == 40
    assert row_of(picture(look(0.0, http=process), look(2.0, stream=process)), "acme").in_per_s is not None


def test_what_came_in_is_not_known_while_the_judge_is_down() -> None:
    process = Process()
    process.received.labels("http", "acme", "accepted").inc()
    assert row_of(picture(look(0.0, http=process), look(2.0, http=process)), "acme").in_per_s is None


def test_a_process_that_was_restarted_counts_from_nothing() -> None:
    first, second = Process(), Process()
    first.judged.labels("acme", "accepted").inc(1000)
    second.judged.labels("acme", "accepted").inc(30)
    found = picture(look(0.0, stream=first), look(1.0, stream=second))
    assert row_of(found, "acme").accepted_per_s == 30


def test_several_processes_of_a_group_are_summed_up_and_the_oldest_record_counts() -> None:
    one, two = Process(), Process()
    for process, records, seconds in ((one, 5, 9.0), (two, 7, 3.0)):
        process.lag.labels("g", "acme").set(records)
        process.lag_s.labels("g", "acme").set(seconds)
    found = picture(look(0.0, a=one, b=two), look(1.0, a=one, b=two))
    assert row_of(found, "acme").lag == {"g": GroupLag(12, 9.0)}


def test_the_age_is_that_of_events_shown_since_the_last_look() -> None:
    process = Process()
    process.judged.labels("acme", "accepted").inc()
    process.ages.observe("redis", "acme", [NOON] * 1000, NOON + 60_000)
    before = look(0.0, stream=process)
    process.ages.observe("redis", "acme", [NOON] * 50, NOON + 80)
    process.ages.observe("redis", "acme", [NOON] * 50, NOON + 400)
    process.ages.observe("clickhouse", "acme", [NOON] * 100, NOON + 60_000)
    row = row_of(picture(before, look(1.0, stream=process)), "acme")
    assert row.age_p50_s == pytest.approx(0.1)
    assert row.age_p99_s == pytest.approx(0.25 + 0.25 * 49 / 50)


def test_parked_tenants_come_first_then_those_behind() -> None:
    process = Process()
    for tenant, behind in (("busy", 0), ("late", 50), ("stuck", 1)):
        process.lag.labels(JUDGE, tenant).set(behind)
        process.judged.labels(tenant, "accepted").inc(100 if tenant == "busy" else 0)
    process.parked.labels("judge", "stuck", "ratio").set(1)
    process.parked.labels("judge", "late", "run").set(0)
    found = picture(look(0.0, stream=process), look(1.0, stream=process))
    assert [row.tenant for row in found.tenants] == ["stuck", "late", "busy"]
    assert [row.parked for row in found.tenants] == [{"judge": "ratio"}, {}, {}]


def test_a_process_that_is_down_is_said_so() -> None:
    process = Process()
    process.started.set(1_790_000_000)
    process.cpu.inc(3)
    before = look(0.0, http=process, stream=process)
    process.cpu.inc(1)
    found = picture(before, look(2.0, {"stream": "it does not answer"}, http=process))
    http, stream = found.processes
    assert (http.process, http.cpu_percent, http.problem) == ("http", 50, "")
    assert http.up_since == datetime.fromtimestamp(1_790_000_000, UTC)
    assert (stream.process, stream.cpu_percent, stream.problem) == ("stream", None, "it does not answer")


def test_the_tables_show_names_as_they_are_and_count_what_has_no_room() -> None:
    process = Process()
    for tenant in ("[red]", "a", "b"):
        process.lag.labels("some-group", tenant).set(3)
    found = picture(look(0.0, stream=process), look(1.0, {"http": "no [answer]"}, stream=process))
    console = Console(width=300)
    with console.capture() as captured:
        console.print(view(found, 300, max_tenants=2))
    text = captured.get()
    assert "[red]" in text
    assert "and 1 more tenants" in text
    assert "lag some-group" in text
    assert "down: no [answer]" in text


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_in_a_narrow_terminal_every_number_is_whole_and_the_worst_lag_is_named(
    monkeypatch: pytest.MonkeyPatch, terminal: str, width: int
) -> None:
    monkeypatch.setenv("TERM", terminal)
    process = Process()
    for group, records, seconds in ((JUDGE, 1_234_567, 61), ("millrace-features", 23, 4), ("millrace-analytics", 0, 0)):
        process.lag.labels(group, "a-shop").set(records)
        process.lag_s.labels(group, "a-shop").set(seconds)
    found = picture(look(0.0, stream=process), look(1.0, stream=process))
    console = Console(width=width)
    with console.capture() as captured:
        console.print(view(found, width))
    text = captured.get()
    assert "a-shop" in text
    assert "judge 1,234,567" in text
    assert "(61.0 s)" in text
    assert "…" not in text


@given(values=st.lists(st.integers(0, 1200), min_size=1, max_size=50), share=st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_value_that_it_estimates(values: list[int], share: float) -> None:
    bounds = [10.0, 100.0, 1000.0]
    within = {bound: float(sum(value <= bound for value in values)) for bound in [*bounds, float("inf")]}
    rank = max(0, -(-share * len(values) // 1) - 1)
    true = sorted(values)[int(rank)]
    found = quantile(within, share)
    assert found is not None
    upper = next((bound for bound in bounds if true <= bound), 1000.0)
    lower = max((bound for bound in bounds if bound < true), default=0.0)
    assert lower <= found <= upper


def test_there_is_no_quantile_of_nothing() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None


async def test_what_does_not_answer_or_answers_otherwise_is_a_problem() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 1:
            raise httpx.ConnectTimeout("", request=request)
        return httpx.Response(200 if request.url.port == 2 else 503, text="no metrics at all {")

    addresses = {name: f"http://h:{port}/metrics" for name, port in (("slow", 1), ("odd", 2), ("away", 3))}
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        found = await scrape(addresses, client)
    assert found.samples == {}
    assert "ConnectTimeout" in found.problems["slow"]
    assert "503" in found.problems["away"]
    assert set(found.problems) == set(addresses)


def test_without_a_platform_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="millrace up"):
        metrics_addresses(tmp_path)


@pytest.mark.parametrize("content", [None, "[]", '{"http": 1}'])
def test_a_metrics_file_of_something_else_is_an_error(tmp_path: Path, content: str | None) -> None:
    running = dict.fromkeys(("http", "grpc", "kafka", "redis", "clickhouse", "mongo"), "x") | {"pid": os.getpid()}
    (tmp_path / "endpoints.json").write_text(json.dumps(running))
    if content is not None:
        (tmp_path / METRICS_FILE).write_text(content)
    with pytest.raises(OperatorError, match=r"metrics\.json"):
        metrics_addresses(tmp_path)


@pytest.fixture(params=["embedded", pytest.param("native", marks=pytest.mark.native)])
async def platform(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Platform]:
    kind: StackKind = request.param
    try:
        async with start_platform(tmp_path, kind) as running:
            yield running
    except NotSetUpError as error:
        unavailable(kind, str(error))


@pytest.mark.stack
@pytest.mark.timeout(300)
async def test_a_running_platform_shows_its_tenants_and_what_is_down(platform: Platform, tmp_path: Path) -> None:
    stop = asyncio.Event()
    sending = asyncio.gather(send(platform, "acme", 40, stop), send(platform, "beta", 4, stop))
    try:
        shown = await until(lambda found: both_are_shown(found), tmp_path)
    finally:
        stop.set()
        await sending
    rows = {row["tenant"]: row for row in shown["tenants"]}
    assert rows["acme"]["rejected_per_s"] > 0  # at the door
    assert rows["acme"]["lag"].keys() == {f"millrace-{g}" for g in ("judge", "features", "analytics", "recommend")}
    assert 0 < rows["acme"]["age_p50_s"] <= rows["acme"]["age_p99_s"]
    assert [row["process"] for row in shown["processes"]] == sorted(ROLES)
    platform.kill("analytics", signal.SIGSTOP)
    shown = await until(lambda found: "analytics" in problems(found), tmp_path)
    platform.kill("analytics", signal.SIGCONT)
    assert len(problems(shown)) < len(ROLES)


def both_are_shown(found: dict[str, Any]) -> bool:
    """All figures of both, and acme the busier: between two scrapes a tenant's batches may have come all at once."""
    rows = {row["tenant"]: row for row in found["tenants"] if row["tenant"] in {"acme", "beta"}}
    return (
        len(rows) == 2
        and all(
            row["in_per_s"] and row["age_p99_s"] and row["lists_per_s"] and len(row["lag"]) == 4
            for row in rows.values()
        )
        and rows["acme"]["in_per_s"] > 3 * rows["beta"]["in_per_s"]
        and all(row["rss_bytes"] or row["problem"] for row in found["processes"])
    )


def problems(found: dict[str, Any]) -> list[str]:
    return [row["process"] for row in found["processes"] if row["problem"]]


async def until(is_so: Any, data_dir: Path) -> dict[str, Any]:
    """What `millrace top --once --json` prints, once that is so."""
    async with asyncio.timeout(2 * WAIT_S):
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infra.cli", "top", "--once", "--json", "--data-dir", str(data_dir)),
                stdout=asyncio.subprocess.PIPE,
            )
            printed, _ = await process.communicate()
            assert process.returncode == 0
            found: dict[str, Any] = json.loads(printed)
            if is_so(found):
                return found


async def send(platform: Platform, tenant: str, count: int, stop: asyncio.Event) -> None:
    """So many events ten times a second, one of them without a user."""
    async with httpx.AsyncClient(base_url=platform.endpoints["http"]) as http:
        while not stop.is_set():
            now_ms = time.time_ns() // 1_000_000
            event: dict[str, Any] = {"tenant_id": tenant, "scenario_id": "s", "item_id": "i1", "action_type": "click"}
            event |= {"timestamp": now_ms, "context": {"device_type": "mobile"}}
            events = [event, *(event | {"user_id": f"u{number}"} for number in range(count))]
            await http.post("/api/v1/behaviors/track/batch", json={"events": events})
            await asyncio.sleep(0.1)
