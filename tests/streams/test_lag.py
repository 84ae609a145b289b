"""Consumer lag: what is read from batches in flight, and what a worker on a real broker reports."""

import asyncio
import time

from faust.types import TP

from schemas.lag import Lag, LagBoard, Reading
from schemas.topics import raw_topic, rejected_topic, summaries_topic, validated_topic
from streams.app import StreamApp, lanes_app
from streams.config import StreamConfig
from streams.lag import Fetching, behind, readings, with_lag
from streams.steps import Step
from tests.factories import NOON
from tests.streams.fakes import make_batch
from tests.streams.live import Recorder, admin_client, fill, make_config, make_topic, worker

WAIT_S = 20
ACME = TP(raw_topic("acme"), 0)


def test_what_is_in_flight_is_not_processed() -> None:
    oldest = {ACME: make_batch([40, 41, 42])}
    found = readings({ACME: Fetching(50, 60), TP(ACME.topic, 1): Fetching(7, 9)}, oldest)
    assert found == {ACME: Reading("acme", 40, 60, NOON), TP(ACME.topic, 1): Reading("acme", 7, 9)}


def test_a_partition_read_to_its_end_is_behind_while_a_batch_is_at_work() -> None:
    fetching = {ACME: Fetching(60, 60), TP(ACME.topic, 1): Fetching(9, 9), TP(ACME.topic, 2): Fetching(8, 9)}
    assert behind(fetching, {ACME: make_batch([59])}).keys() == {ACME, TP(ACME.topic, 2)}


def test_the_topics_of_a_tenant_are_one_tenants() -> None:
    topics = [make("acme") for make in (raw_topic, validated_topic, rejected_topic, summaries_topic)]
    found = readings({TP(topic, 0): Fetching(1, 2) for topic in [*topics, "tracking-config-changes"]}, {})
    assert [reading.tenant for reading in found.values()] == ["acme"] * 4


def reporting(config: StreamConfig, step: Step, board: LagBoard) -> StreamApp:
    return with_lag(lanes_app("judge", "user-behaviors-", config, step), board=board)


def lag_of(board: LagBoard, tenant: str) -> Lag | None:
    found = {
        family.name: sample.value
        for family in board.collect()
        for sample in family.samples
        if sample.labels["tenant"] == tenant
    }
    if not found:
        return None
    return Lag(int(found["millrace_consumer_lag_records"]), found["millrace_consumer_lag_seconds"])


async def wait_for_records(board: LagBoard, tenant: str, records: int | None) -> Lag | None:
    """The tenant's lag once it is so many records; None: once it has no series."""
    async with asyncio.timeout(WAIT_S):
        while (lag := lag_of(board, tenant)) is None or lag.records != records:
            if lag is None and records is None:
                return None
            await asyncio.sleep(0.05)
    return lag


async def test_a_worker_reports_what_waits_and_how_long_it_has(kafka: str, tenant: str) -> None:
    board, step = LagBoard(), Recorder(tenant)
    config = make_config(kafka, max_batch_records=10)
    await make_topic(kafka, raw_topic(tenant), partitions=1)
    await fill(kafka, raw_topic(tenant), 100, partitions=1)
    filled = time.time()
    step.gates[0].clear()
    async with worker(lambda: reporting(config, step, board)):
        lag = await wait_for_records(board, tenant, 100)
        assert lag is not None
        assert time.time() - filled - 2 <= lag.seconds <= time.time() - filled + 2
        step.gates[0].set()
        await wait_for_records(board, tenant, 0)
        assert lag_of(board, tenant) == Lag(0, 0.0)


async def test_the_lag_grows_though_nothing_more_is_fetched(kafka: str, tenant: str) -> None:
    """A partition whose agent is stuck is not fetched, so its high watermark stands still."""
    board, step = LagBoard(), Recorder(tenant)
    config = make_config(kafka, max_batch_records=10)
    await make_topic(kafka, raw_topic(tenant), partitions=1)
    await fill(kafka, raw_topic(tenant), 200, partitions=1)
    step.gates[0].clear()
    async with worker(lambda: reporting(config, step, board)):
        await wait_for_records(board, tenant, 200)
        await fill(kafka, raw_topic(tenant), 3000, partitions=1, size=1000)
        await wait_for_records(board, tenant, 3200)
        step.gates[0].set()
        await wait_for_records(board, tenant, 0)


async def test_a_tenant_whose_topic_is_deleted_has_no_series(kafka: str, tenant: str) -> None:
    board, step = LagBoard(), Recorder(tenant)
    await make_topic(kafka, raw_topic(tenant))
    await fill(kafka, raw_topic(tenant), 10)
    async with worker(lambda: reporting(make_config(kafka), step, board)):
        await wait_for_records(board, tenant, 0)
        async with admin_client(kafka) as admin:
            await admin.delete_topics([raw_topic(tenant)])
        await wait_for_records(board, tenant, None)
