"""The micro-batch transport on a real broker: order, commits, discovery, rebalances, a killed worker."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.consumer.fetcher import Fetcher
from faust.types import TP

from schemas.metrics import PARTITIONS_HELD
from schemas.topics import raw_topic
from streams.app import lanes_app, run_worker
from streams.config import StreamConfig
from streams.transport import Batch
from streams.transport.thread import ConsumerThread, Fetched
from tests.streams.live import (
    Recorder,
    admin_client,
    committed,
    fill,
    fill_until,
    make_config,
    make_topic,
    producer_client,
    running,
)

FIVE_SECONDS = 5.0
WAKES = 10
VICTIM = Path(__file__).parent / "victim.py"


async def test_a_batch_holds_one_partitions_records_in_order(kafka: str, tenant: str) -> None:
    topic, step = raw_topic(tenant), Recorder(tenant)
    await make_topic(kafka, topic)
    await fill(kafka, topic, 3000)
    async with running(make_config(kafka, max_batch_records=500), step):
        await step.wait_for(6000)
    assert step.offsets(0) == step.offsets(1) == list(range(3000))
    for batch in step.batches:
        assert {record.partition for record in batch.records} == {batch.partition}
        assert 1 <= len(batch.records) <= 500
        assert batch.epoch >= 1
    assert len(step.batches) < 600


async def test_records_pass_through_untouched(kafka: str, tenant: str) -> None:
    topic, step = raw_topic(tenant), Recorder(tenant)
    await make_topic(kafka, topic, partitions=1)
    async with producer_client(kafka) as producer:
        await producer.send_and_wait(topic, b"\xff\x00", key=None, headers=[("a", b"1"), ("a", b"2")], timestamp_ms=42)
        await producer.send_and_wait(topic, None, key=b"tombstone")
        await producer.send_and_wait(topic, b"x" * 900_000, key=b"")
    async with running(make_config(kafka, max_partition_fetch_bytes=100_000), step):
        await step.wait_for(3)
    first, second, third = step.records
    assert (first.key, first.value, list(first.headers)) == (None, b"\xff\x00", [("a", b"1"), ("a", b"2")])
    assert first.timestamp == 42
    assert (second.key, second.value) == (b"tombstone", None)
    assert (third.key, len(third.value or b"")) == (b"", 900_000)


async def test_only_the_finished_prefix_is_committed(kafka: str, tenant: str) -> None:
    topic, step, config = raw_topic(tenant), Recorder(tenant), make_config(kafka)
    await make_topic(kafka, topic)
    await fill(kafka, topic, 100)
    step.gates[1].clear()
    async with running(config, step):
        await step.wait_for(100)
        await _until(lambda: _is_committed(kafka, config.group("judge"), topic, {0: 100}))
        step.gates[1].set()
        await step.wait_for(200)
    assert await committed(kafka, config.group("judge"), topic) == {0: 100, 1: 100}


async def test_a_restart_goes_on_where_it_stopped(kafka: str, tenant: str) -> None:
    topic, step, config = raw_topic(tenant), Recorder(tenant), make_config(kafka)
    await make_topic(kafka, topic)
    for count in (100, 200):
        await fill(kafka, topic, 100)
        async with running(config, step):
            await step.wait_for(2 * count)
    assert step.offsets(0) == step.offsets(1) == list(range(200))


async def test_a_sink_says_where_to_begin_and_may_go_back(kafka: str, tenant: str) -> None:
    topic, step, config = raw_topic(tenant), Recorder(tenant), make_config(kafka)
    await make_topic(kafka, topic)
    await fill(kafka, topic, 100)
    step.wanted = {TP(topic, 0): 40}
    step.gates[1].clear()
    async with running(config, step):
        await step.wait_for(60)
        assert step.offsets(0) == list(range(40, 100))
        step.answers = [10]
        await fill(kafka, topic, 1, partitions=1)
        await step.wait_for(60 + 91)
        assert step.offsets(0)[60:] == list(range(10, 101))
        step.gates[1].set()
        await step.wait_for(60 + 91 + 100)
    assert await committed(kafka, config.group("judge"), topic) == {0: 101, 1: 100}


async def test_an_agent_that_fails_gets_the_same_batch_again(kafka: str, tenant: str) -> None:
    topic, step = raw_topic(tenant), Recorder(tenant)
    await make_topic(kafka, topic, partitions=1)
    await fill(kafka, topic, 50, partitions=1)
    step.answers = [ValueError("poisoned"), ValueError("poisoned")]
    async with running(make_config(kafka), step):
        await step.wait_for(50)
    assert step.offsets(0) == list(range(50))


async def test_a_partition_whose_batch_fails_holds_up_no_other_of_its_tenant(kafka: str, tenant: str) -> None:
    topic, step = raw_topic(tenant), Poisoned(tenant)
    await make_topic(kafka, topic)
    await fill(kafka, topic, 2000)
    async with running(make_config(kafka, max_batch_records=100), step):
        await step.wait_for(2000)
        assert step.offsets(0) == list(range(2000))
        step.poisoned = False
        await step.wait_for(4000)
    assert step.offsets(1) == list(range(2000))


async def test_partitions_that_kafka_says_nothing_of_hold_up_no_other(
    kafka: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, step, config = raw_topic(tenant), Recorder(tenant), make_config(kafka)
    await make_topic(kafka, topic, partitions=3)
    await fill(kafka, topic, 10, partitions=3)
    asked, loop, original = asyncio.Event(), asyncio.get_running_loop(), ConsumerThread._start_offset

    async def start_offset(thread: ConsumerThread, tp: TopicPartition) -> int:
        if tp.topic == topic and tp.partition > 0:
            loop.call_soon_threadsafe(asked.set)
            await asyncio.sleep(3600)
        return await original(thread, tp)

    monkeypatch.setattr(ConsumerThread, "_start_offset", start_offset)
    async with starting(config, step):
        await asked.wait()
        await step.wait_for(10)
        assert step.offsets(0) == list(range(10))
        await _until(lambda: _is_committed(kafka, config.group("judge"), topic, {0: 10}))


async def test_a_member_that_is_stopped_while_it_joins_holds_up_nobody(kafka: str, tenant: str) -> None:
    """The one that stays is slow to join again, so the other still waits for it when it is stopped."""
    topic, config = raw_topic(tenant), make_config(kafka, session_timeout_s=120.0, drain_timeout_s=5.0)
    stays = Recorder(tenant)
    await make_topic(kafka, topic)
    async with running(config, stays):
        await fill(kafka, topic, 10)
        await stays.wait_for(20)
        stays.gates[1].clear()
        await fill(kafka, topic, 10)
        await stays.wait_for(30)
        async with starting(config, Recorder(tenant)):
            await _until(lambda: _group_is(kafka, config.group("judge"), "PreparingRebalance"))
        stays.gates[1].set()
        await fill(kafka, topic, 10)
        await stays.wait_for(60)
    assert stays.offsets(0) == stays.offsets(1) == list(range(30))


async def test_a_new_tenant_is_consumed_within_five_seconds(kafka: str, tenant: str) -> None:
    step = Recorder(tenant)
    async with running(make_config(kafka, discovery_interval_s=2.0), step):
        await make_topic(kafka, raw_topic(tenant))
        await fill(kafka, raw_topic(tenant), 10)
        await step.wait_for(20, timeout_s=FIVE_SECONDS)


async def test_a_deleted_topic_stops_nobody(kafka: str, tenant: str) -> None:
    gone, stays = f"{tenant}-gone", f"{tenant}-stays"
    step = Recorder(gone)
    for name in (gone, stays):
        await make_topic(kafka, raw_topic(name))
    with structlog.testing.capture_logs() as logs:
        async with running(make_config(kafka), step):
            await fill(kafka, raw_topic(gone), 10)
            await step.wait_for(20)
            async with admin_client(kafka) as admin:
                await admin.delete_topics([raw_topic(gone)])
            step.tenant = stays
            await fill(kafka, raw_topic(stays), 10)
            await step.wait_for(40)
            await asyncio.sleep(3)  # long enough for a loop of errors to show
            await fill(kafka, raw_topic(stays), 10)
            await step.wait_for(60)
    assert sum(entry["log_level"] in ("warning", "error") for entry in logs) <= 2


async def test_a_log_that_began_anew_is_held_until_the_sink_gives_way(kafka: str, tenant: str) -> None:
    topic, other, step = raw_topic(tenant), f"{tenant}-other", Fenced(tenant)
    for name in (tenant, other):
        await make_topic(kafka, raw_topic(name), partitions=1)
    await fill(kafka, topic, 10, partitions=1)
    async with running(make_config(kafka, session_timeout_s=30.0), step):
        await step.wait_for(10)
        with structlog.testing.capture_logs() as logs:
            await make_anew(kafka, topic)
            await fill(kafka, topic, 3, partitions=1)
            await _until(lambda: _is_held(1))
            step.tenant = other
            await fill(kafka, raw_topic(other), 1, partitions=1)
            await step.wait_for(11)
            await asyncio.sleep(3)  # long enough for a loop of errors to show
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["partition_held"]
        step.tenant = tenant
        step.fences.clear()
        await step.wait_for(14)
        await _until(lambda: _is_held(0))
    assert [record.offset for record in step.records if record.topic == topic] == [*range(10), 0, 1, 2]


async def test_a_log_that_began_anew_is_read_where_the_sink_has_no_fence(kafka: str, tenant: str) -> None:
    topic, step = raw_topic(tenant), Recorder(tenant)
    await make_topic(kafka, topic, partitions=1)
    await fill(kafka, topic, 10, partitions=1)
    async with running(make_config(kafka), step):
        await step.wait_for(10)
        await make_anew(kafka, topic)
        await fill(kafka, topic, 3, partitions=1)
        await step.wait_for(13)
    assert step.offsets(0) == [*range(10), 0, 1, 2]


async def test_a_worker_restarted_under_its_name_keeps_its_partitions(kafka: str, tenant: str) -> None:
    topic, config = raw_topic(tenant), make_config(kafka, session_timeout_s=20.0)
    await make_topic(kafka, topic, partitions=8)
    stays, before, after = Recorder(tenant), Recorder(tenant), Recorder(tenant)
    async with running(replace(config, instance_id="stays"), stays):
        async with running(replace(config, instance_id="restarts"), before):
            await fill(kafka, topic, 10, partitions=8)
            await _until(lambda: _have_seen(80, stays, before))
        began, owned = len(stays.batches), partitions_of(before)
        async with running(replace(config, instance_id="restarts"), after):
            await fill(kafka, topic, 10, partitions=8)
            await _until(lambda: _have_seen(160, stays, before, after))
    assert partitions_of(after) == owned
    generations = {batch.epoch for batch in [*before.batches, *stays.batches[began:], *after.batches]}
    assert len(generations) == 1, "no rebalance"


async def test_a_rebalance_leaves_kept_partitions_as_they_are(kafka: str, tenant: str) -> None:
    """They are not asked for again, and what was fetched of them before is finished, not read again."""
    topic, step, enough = raw_topic(tenant), Fenced(tenant), asyncio.Event()
    await make_topic(kafka, topic, partitions=4)
    async with running(make_config(kafka, max_batch_records=50), step):
        filling = asyncio.create_task(fill_until(kafka, topic, enough, partitions=4))
        await step.wait_for(200)
        asked = len(step.asked)
        for number in range(2):
            other = raw_topic(f"{tenant}-{number}")
            await make_topic(kafka, other, partitions=1)
            await fill(kafka, other, 1, partitions=1)
            await _until(lambda other=other: _is_asked(step, TP(other, 0)))
        enough.set()
        count = await filling
        await step.wait_for(4 * count)
        assert all(tp.topic != topic for tp in step.asked[asked:])
    for partition in range(4):
        assert step.offsets(partition) == list(range(count)), "each record once"


async def test_a_worker_stops_within_ten_seconds_under_load(kafka: str, tenant: str) -> None:
    topic, step, enough = raw_topic(tenant), Recorder(tenant), asyncio.Event()
    await make_topic(kafka, topic)
    await fill(kafka, topic, 20_000)
    filling = asyncio.create_task(fill_until(kafka, topic, enough, partitions=2))
    async with running(make_config(kafka), step):
        await step.wait_for(1000)
        step.gates[1].clear()  # a batch that does not end
        stopping_at = time.monotonic()
    assert time.monotonic() - stopping_at < 10
    enough.set()
    await filling


async def test_a_worker_that_waits_for_room_does_not_spin(
    kafka: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wake ends the thread's wait, and with it the waiter for arrivals; that end is no arrival, to wake by again."""
    prefix = f"room-{tenant}-"  # no other test's records arrive
    topic, step, original = prefix + tenant, Recorder(tenant), ConsumerThread._deal
    deals: list[ConsumerThread] = []

    def deal(thread: ConsumerThread, fetcher: Fetcher) -> list[Fetched]:
        deals.append(thread)
        return original(thread, fetcher)

    monkeypatch.setattr(ConsumerThread, "_deal", deal)
    await make_topic(kafka, topic, partitions=1)
    await fill(kafka, topic, 2000, partitions=1)
    step.gates[0].clear()  # its lane fills up, and the rest stays in aiokafka's buffer
    async with running(make_config(kafka, max_batch_records=50, drain_timeout_s=0.5), step, prefix):
        await _until(lambda: _has_no_room(deals, TP(topic, 0)))
        before = len(deals)
        for _ in range(WAKES):
            deals[0].wake()
            await asyncio.sleep(1 / WAKES)
        dealt = len(deals) - before
    assert WAKES <= dealt <= 10 * WAKES, "one for each wake and a few for timeouts; spinning makes thousands"


async def test_nothing_is_lost_when_workers_come_and_go(kafka: str, tenant: str) -> None:
    topic, config = raw_topic(tenant), make_config(kafka, max_batch_records=50)
    steps = [Recorder(tenant) for _ in range(3)]
    await make_topic(kafka, topic, partitions=4)
    enough = asyncio.Event()
    filling = asyncio.create_task(fill_until(kafka, topic, enough, partitions=4))
    async with running(config, steps[0]):
        async with running(config, steps[1]):
            await steps[1].wait_for(100)
            async with running(config, steps[2]):
                await steps[2].wait_for(100)
            enough.set()
        count = await filling
        everything = dict.fromkeys(range(4), count)
        await _until(lambda: _is_committed(kafka, config.group("judge"), topic, everything))
    for partition in range(4):
        seen = [offset for step in steps for offset in step.offsets(partition)]
        assert set(seen) == set(range(count))
        assert len(seen) == count, "a clean rebalance commits before it lets go"


async def test_a_killed_worker_loses_nothing(kafka: str, tenant: str, tmp_path: Path) -> None:
    topic, step, config = raw_topic(tenant), Recorder(tenant), make_config(kafka, max_batch_records=100)
    await make_topic(kafka, topic)
    await fill(kafka, topic, 3000)
    seen_by_victim = tmp_path / "seen"
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, str(VICTIM), kafka, config.group_prefix, tenant, str(seen_by_victim)),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        await _until(lambda: _lines(seen_by_victim, 500))
    finally:
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
    killed_at = time.monotonic()
    async with running(config, step):
        already = {(int(line.split()[0]), int(line.split()[1])) for line in seen_by_victim.read_text().splitlines()}
        everything = {(partition, offset) for partition in range(2) for offset in range(3000)}

        async def all_seen() -> bool:
            return already | {(record.partition, record.offset) for record in step.records} >= everything

        await _until(all_seen)
    assert time.monotonic() - killed_at < 3 * config.session_timeout_s
    for partition in range(2):
        offsets = step.offsets(partition)
        assert offsets == list(range(offsets[0], 3000)), "the new owner reads on without a gap"


class Poisoned(Recorder):
    """Fails at every batch of partition 1."""

    poisoned = True

    async def process(self, batch: Batch) -> int | None:
        if self.poisoned and batch.topic.endswith(self.tenant) and batch.partition == 1:
            raise ValueError("poisoned")
        return await super().process(batch)


class Fenced(Recorder):
    """Wants every partition behind what it has seen, as a sink with a fence does."""

    def __init__(self, tenant: str) -> None:
        super().__init__(tenant)
        self.fences: dict[TP, int] = {}
        self.asked: list[TP] = []

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        self.asked += tps
        return {tp: self.fences.get(tp, 0) for tp in tps}

    async def process(self, batch: Batch) -> int | None:
        read_on = await super().process(batch)
        self.fences[batch.tp] = batch.next_offset
        return read_on


@asynccontextmanager
async def starting(config: StreamConfig, step: Recorder) -> AsyncIterator[None]:
    """A worker that need not become ready; stopped at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_worker(lambda: lanes_app("judge", "user-behaviors-", config, step), stop, asyncio.Event())
    )
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


async def _group_is(kafka: str, group: str, state: str) -> bool:
    async with admin_client(kafka) as admin:
        (answer,) = await admin.describe_consumer_groups([group])
    return bool(answer.groups[0][2] == state)


async def make_anew(kafka: str, topic: str) -> None:
    async with admin_client(kafka) as admin:
        await admin.delete_topics([topic])

        async def made() -> bool:
            ((_, error, *_),) = (await admin.create_topics([NewTopic(topic, 1, 1)])).topic_errors
            return bool(error == 0)

        await asyncio.sleep(0.5)
        await _until(made)


async def _has_no_room(deals: list[ConsumerThread], tp: TP) -> bool:
    return bool(deals) and deals[0].consumer.placed.is_set() and not deals[0].consumer.is_wanted(tp)


async def _is_held(count: int) -> bool:
    return bool(PARTITIONS_HELD.labels("judge")._value.get() == count)


async def _is_asked(step: Fenced, tp: TP) -> bool:
    return tp in step.asked


async def _have_seen(count: int, *steps: Recorder) -> bool:
    return sum(len(step.records) for step in steps) >= count


def partitions_of(step: Recorder) -> set[int]:
    return {batch.partition for batch in step.batches}


async def _is_committed(kafka: str, group: str, topic: str, wanted: dict[int, int]) -> bool:
    return await committed(kafka, group, topic) == wanted


async def _lines(file: Path, count: int) -> bool:
    return await asyncio.to_thread(lambda: file.exists() and file.read_text().count("\n") >= count)


async def _until(condition, timeout_s: float = 60) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.05)
