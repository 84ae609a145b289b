"""ClickHouse is away for far more events than a worker may hold, and dies in the midst of inserts: rows are exact."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from schemas.event import Event
from schemas.topics import validated_topic
from schemas.validated import encode_event
from streams.publisher import Outgoing, Publisher
from tests.factories import make_event
from tests.faults.readers import Tables, native_tables, reader
from tests.faults.scene import MARKS, Scene, eventually, kill, native_scene, send_paced
from tests.faults.traffic import PARTITIONS, make_sent
from tests.streams.live import make_topic

pytestmark = [*MARKS, pytest.mark.long]
COUNT = 3_000
PER_S = 1000
AWAY = range(130_000)  # events of 2 KiB while it is away: 254 MiB, of which a worker may gather 64
LATER = range(130_000, 190_000)
CHUNK = 1_000
PADDING = "x" * 2048
MEMORY_MIB = 400
MIB = 1024 * 1024


async def test_an_hour_without_clickhouse_and_deaths_in_the_midst_of_inserts_leave_each_row_once(
    tenant: str, tmp_path: Path
) -> None:
    busy = f"{tenant}-busy"
    sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
    async with native_scene(tenant, tmp_path) as scene, native_tables(tmp_path) as tables, scene.worker():
        await make_topic(scene.kafka_dsn, validated_topic(busy), PARTITIONS)
        worker = reader("analytics", scene, tables.dsn, tmp_path)
        await worker.start()
        try:
            await send_paced(scene, sent[: COUNT // 2], PER_S)
            await tables.wait_stored(tenant, 0)
            await kill(tables.server)
            await send_paced(scene, sent[COUNT // 2 :], PER_S)
            await scene.wait_all_counted()  # the judge and the features go on
            await publish(scene, busy, AWAY)
            memory_mib = await most_memory_mib(worker.pid)
            await tables.server.run()
            await die_in_the_midst(tables, busy, AWAY.stop)
            await kill(worker)
            await publish(scene, busy, LATER)
            await worker.start()
            await die_in_the_midst(tables, busy, LATER.stop)
            await tables.wait_all_stored(scene.kafka_dsn, validated_topic(busy))
            await tables.assert_exact(scene, await scene.assert_exact())
            assert await numbers(tables, busy) == [(LATER.stop, LATER.stop, sum(range(LATER.stop)))]
        finally:
            await worker.stop(1)
    assert memory_mib < MEMORY_MIB


async def publish(scene: Scene, tenant: str, numbers: range) -> None:
    """Validated events of these numbers, as the judge writes them."""
    publisher = Publisher(scene.config.kafka)
    await publisher.start()
    for first in numbers[::CHUNK]:
        events = (made(tenant, number) for number in range(first, first + CHUNK))
        outgoing = [Outgoing(b"u1", encode_event(event)) for event in events]
        await publisher.publish(validated_topic(tenant), first // CHUNK % PARTITIONS, outgoing)
    await publisher.stop()


def made(tenant: str, number: int) -> Event:
    return make_event(event_id=f"e{number}", tenant_id=tenant, extra_data=PADDING)


async def most_memory_mib(pid: int) -> float:
    """Over two seconds in which it could read on."""
    sizes = []
    for _ in range(20):
        sizes.append(psutil.Process(pid).memory_info().rss / MIB)
        await asyncio.sleep(0.1)
    return max(sizes)


async def die_in_the_midst(tables: Tables, tenant: str, published: int) -> None:
    """Killed while a backlog flows in, soon after its first rows are seen, and started again."""
    ((before, *_),) = await numbers(tables, tenant)
    ((stored, *_),) = await eventually(lambda: numbers(tables, tenant), lambda found: found[0][0] > before)
    await kill(tables.server)
    assert before < stored < published
    await tables.server.run()


async def numbers(tables: Tables, tenant: str) -> list[tuple[int, ...]]:
    """How many events, how many different ones, the sum of their numbers."""
    return await tables.ask(
        "SELECT count(), uniqExact(event_id), sum(toUInt64(substring(event_id, 2))) FROM user_behaviors FINAL"
        " WHERE tenant_id = {tenant:String}",
        tenant=tenant,
    )
