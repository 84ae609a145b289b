"""The micro-batch transport on a real broker: order, commits, discovery, rebalances, a killed worker."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import structlog
from faust.types import TP

from schemas.topics import raw_topic
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


async def _is_committed(kafka: str, group: str, topic: str, wanted: dict[int, int]) -> bool:
    return await committed(kafka, group, topic) == wanted


async def _lines(file: Path, count: int) -> bool:
    return await asyncio.to_thread(lambda: file.exists() and file.read_text().count("\n") >= count)


async def _until(condition, timeout_s: float = 60) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.05)
