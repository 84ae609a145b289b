"""A tenant with traffic, live features and a plain recomputation, for the tests of rebuilding them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.topics import raw_topic
from streams.config import StreamConfig
from streams.features.sink import RedisFeatureSink
from streams.replay.run import Order, Rebuild, Report
from streams.workers import run_features
from tests.e2e.recompute import judge_all
from tests.faults.scene import assert_held, eventually, fences_in, read_all, signals
from tests.faults.traffic import PARTITIONS, Clients, Sent, make_sent
from tests.streams.features.redis_content import held_in
from tests.streams.live import make_config, make_topic, role
from tracking_configs.judge import Judge
from tracking_configs.lean_judge import LeanJudge
from tracking_configs.registry import ConfigRegistry


@dataclass(frozen=True)
class Stage:
    tenant: str
    kafka: str
    redis: Redis
    config: StreamConfig
    judge: Judge

    def key(self, kind: str, *ids: str) -> str:
        return KeySpace(self.tenant).key(kind, *ids)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """The features in this process, as `worker stream` runs them."""
        sink = RedisFeatureSink(self.redis, signals)
        async with role(lambda stop, ready: run_features(self.config, sink, LeanJudge(self.judge), stop, ready)):
            yield

    async def send(self, sent: list[Sent], per_s: int | None = None, hurry: asyncio.Event | None = None) -> None:
        """All of them: at once, or so many a second, until there is a `hurry`."""
        hurry = hurry or asyncio.Event()
        size = len(sent) if per_s is None else max(1, per_s // 20)
        async with Clients(self.kafka, self.tenant) as clients:
            for first in range(0, len(sent), size):
                await clients.send(sent[first : first + size])
                if per_s is not None and not hurry.is_set():
                    await asyncio.sleep(0.05)

    async def counted(self) -> None:
        """Returns once the live features have every record."""
        last = {record.partition: record.offset for record in await read_all(self.kafka, raw_topic(self.tenant))}
        assert await eventually(lambda: fences_in(self.redis, self.tenant), lambda found: found == last) == last

    async def rebuild(self, since_ms: int | None = None, *, swap: bool = True, **options: Any) -> Report:
        order, kafka = Order(self.tenant, since_ms, swap), KafkaDsn.parse(self.kafka)
        return await Rebuild(self.redis, kafka, LeanJudge(self.judge), signals, order, **options).run()

    async def assert_exact(self) -> None:
        """The features in use are those of a plain recomputation, and nothing is left of a shadow."""
        records = await read_all(self.kafka, raw_topic(self.tenant))
        sink = RedisFeatureSink(self.redis, signals)
        for number in range(PARTITIONS):
            await sink.close_sessions(self.tenant, number, 1_000_000, most=3000)
        assert_held(await held_in(self.redis, self.tenant), judge_all(records, self.tenant, self.judge))

    async def spoil(self) -> None:
        """Features as a mistake would have left them: keys changed, lost, and made up; the fences stand."""
        await self.redis.hset(self.key("user:session", "nobody"), mapping={"session_id": "ses_x", "events": 99})
        await self.redis.zadd(self.key("hot:scenario", "vlog_feed"), {"i1": 1e9, "made up": 5.0})
        await self.redis.zadd(self.key("hot:category", "made up"), {"i1": 1.0})
        await self.redis.hset(self.key("hot:landmarks"), "hot:category:made up", "1:1000:2")
        sessions = [key async for key in self.redis.scan_iter(match=f"{self.tenant}:user:session:u*", count=1000)]
        await self.redis.unlink(*sessions[:20])
        for key in sessions[20:40]:
            await self.redis.hincrby(key, "events", 7)


@asynccontextmanager
async def a_stage(tenant: str, kafka: str, redis: Redis) -> AsyncIterator[Stage]:
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    yield Stage(tenant, kafka, redis, make_config(kafka), Judge(ConfigRegistry()))


def traffic(tenant: str, count: int, *, seed: int = 11) -> list[Sent]:
    return make_sent(tenant, count=count, now_ms=time.time_ns() // 1_000_000, seed=seed)
