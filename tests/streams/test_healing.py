"""Features that Redis has lost come back though nobody sends anything."""

import asyncio
import time
from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from redis.asyncio import Redis

from schemas.topics import raw_topic
from streams.features.errors import SinkUnavailable
from streams.healing import with_healing
from streams.lanes import Lanes
from tests.e2e.recompute import judge_all
from tests.faults.scene import assert_held, eventually, fences_in, read_all, roles_of
from tests.faults.traffic import PARTITIONS, Clients, make_sent
from tests.streams.fakes import FakeConsumer, FakeStream, event_of, make_batch
from tests.streams.features.redis_content import held_in
from tests.streams.live import make_config, make_topic, role
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

COUNT = 2000


async def test_quiet_partitions_are_rebuilt_from_kafka(kafka: str, redis_client: Redis, tenant: str) -> None:
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    async with Clients(kafka, tenant) as clients:
        await clients.send(make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000))
    records = await read_all(kafka, raw_topic(tenant))
    ends = {record.partition: record.offset for record in records}
    expected = judge_all(records, tenant, Judge(ConfigRegistry()))
    _, run_features = roles_of(make_config(kafka), redis_client)
    async with role(run_features):
        for _ in range(2):
            assert await eventually(lambda: fences_in(redis_client, tenant), lambda found: found == ends) == ends
            assert_held(await held_in(redis_client, tenant), expected)
            await lose(redis_client, tenant)
        assert await eventually(lambda: fences_in(redis_client, tenant), lambda found: found == ends) == ends


async def lose(redis: Redis, tenant: str) -> None:
    """FLUSHALL, as far as the tenant sees it."""
    names = [name async for name in redis.scan_iter(match=f"{tenant}:*", count=1000)]
    await redis.delete(*names)


class Losing:
    """Says what it is told of every partition it is asked for."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.processed: list[int] = []

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        return {}

    async def process(self, batch: Any) -> None:
        self.processed.append(batch.first_offset)

    async def lost(self, tps: Collection[TP]) -> Mapping[TP, int]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(tps, answer)


class App:
    """As much of an app as the healing sees; `heal` is what its timer would call."""

    role = "features"

    def __init__(self, step: Losing, consumer: FakeConsumer) -> None:
        self.consumer: Any = consumer
        self.runner = Lanes("features", step, consumer, FakeStream(), depth=2)  # type: ignore[arg-type]
        self.heal: Any = None
        with_healing(self, step)  # type: ignore[arg-type]

    def timer(self, interval_s: float, name: str) -> Any:
        return lambda heal: setattr(self, "heal", heal)


def consumer_of(*idle: TP) -> Any:
    consumer: Any = FakeConsumer()
    consumer.view = SimpleNamespace(idle=lambda: set(idle))
    return consumer


async def test_a_partition_that_lost_data_is_read_on_from_there() -> None:
    tp, consumer = make_batch([0]).tp, consumer_of(make_batch([0]).tp)
    app = App(Losing(7), consumer)
    await app.heal()
    await app.runner.drain(5)
    assert consumer.sought == [(tp, 7)]


async def test_a_store_that_is_away_says_nothing() -> None:
    consumer = consumer_of(make_batch([0]).tp)
    app = App(Losing(SinkUnavailable("acme", "away"), 0), consumer)
    await app.heal()
    await app.runner.drain(5)
    assert consumer.sought == []
    await app.heal()
    await app.runner.drain(5)
    assert len(consumer.sought) == 1


async def test_a_batch_at_work_finds_out_by_itself() -> None:
    step, batch = Losing(7), make_batch([40])
    consumer = consumer_of(batch.tp)
    app = App(step, consumer)
    await app.runner.submit(event_of(batch))
    await app.heal()
    await app.runner.drain(5)
    assert (step.processed, consumer.sought) == ([40], [])


async def test_a_batch_that_comes_while_its_partition_is_moved_waits_and_is_stale_then() -> None:
    step, batch = Losing(7), make_batch([40])
    consumer, moving = consumer_of(batch.tp), asyncio.Event()

    async def seek(tp: TP, offset: int) -> None:
        await moving.wait()
        consumer.current = False  # what a seek does to a batch that was fetched before

    consumer.seek = seek
    app = App(step, consumer)
    await app.heal()
    await app.runner.submit(event_of(batch))
    await asyncio.sleep(0)
    moving.set()
    await app.runner.drain(5)
    assert step.processed == []
