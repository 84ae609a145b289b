"""A native Kafka and Redis of a test's own, workers on them, and the comparison with a plain recomputation."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.connections import open_redis
from infra.stack.kinds import NotSetUpError
from infra.stack.ports import free_ports
from infra.stack.server import Server
from infra.stack.servers import SERVERS, build_server
from schemas.dead_letter import decode_dead_letter
from schemas.keys import KeySpace
from schemas.topics import raw_topic, rejected_topic, validated_topic
from schemas.validated import decode_event
from streams.config import StreamConfig
from streams.features.fold import fold
from streams.features.model import ScenarioSignals
from streams.features.sink import RedisFeatureSink
from streams.workers import run_features, run_judge
from tests.conftest import unavailable
from tests.e2e.recompute import Expected, judge_all
from tests.faults.traffic import PARTITIONS, SPLIT_USERS, Clients, Sent
from tests.streams.features.redis_content import Held, held_by, held_in
from tests.streams.live import committed, make_config, make_topic, role
from tracking_configs.judge import Judge
from tracking_configs.lean_judge import LeanJudge
from tracking_configs.registry import ConfigRegistry
from tracking_configs.signals import signals_of_template

T = TypeVar("T")

MARKS = [pytest.mark.stack, pytest.mark.native, pytest.mark.timeout(300)]
SETTLED_WITHIN_S = 90.0
WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Scene:
    """One tenant on servers that the test may kill and start again."""

    tenant: str
    kafka: Server
    redis: Server
    kafka_dsn: str
    redis_dsn: str
    config: StreamConfig

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """A judge and the features in this process, as `worker stream` runs them; both leave at the end."""
        async with AsyncExitStack() as stack:
            redis = await stack.enter_async_context(open_redis(self.redis_dsn))
            for run in roles_of(self.config, redis):
                await stack.enter_async_context(role(run))
            yield

    def process(self, name: str, log: Path) -> Server:
        """A worker that is a process, to be killed. With a `name`, "" for none, it keeps its partitions."""
        command = [sys.executable, str(WORKER), self.kafka_dsn, self.redis_dsn, self.config.group_prefix, name]
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return Server("worker", command, log, lambda: asyncio.sleep(0), environment=environment)

    async def fences(self) -> dict[int, int]:
        async with Redis.from_url(self.redis_dsn) as redis:
            return await fences_in(redis, self.tenant)

    async def counted(self) -> int:
        """Raw records counted so far."""
        return sum(offset + 1 for offset in (await self.fences()).values())

    async def wait_counted(self, more_than: int) -> int:
        """Progress: returns once more records than that are counted."""
        found = await eventually(self.counted, lambda count: count > more_than)
        assert found > more_than, f"no progress: {found} records are counted"
        return found

    async def wait_all_counted(self) -> None:
        """Progress on every partition: returns once all that the raw topic holds by now is counted."""
        last = await last_offsets(self.kafka_dsn, raw_topic(self.tenant))
        assert await eventually(self.fences, lambda found: found == last) == last

    async def assert_exact(self) -> Expected:
        """Both topics and Redis hold what a plain recomputation from the raw topic says, once all is worked off."""
        records = await read_all(self.kafka_dsn, raw_topic(self.tenant))
        expected = judge_all(records, self.tenant, Judge(ConfigRegistry()))
        last = {record.partition: record.offset for record in records}
        assert await eventually(self.fences, lambda found: found == last) == last
        await self._assert_topics(expected, {partition: offset + 1 for partition, offset in last.items()})
        async with Redis.from_url(self.redis_dsn) as redis:
            assert_held(await held_in(redis, self.tenant), expected)
        return expected

    async def _assert_topics(self, expected: Expected, ends: dict[int, int]) -> None:
        group, raw = self.config.group("judge"), raw_topic(self.tenant)
        assert await eventually(lambda: committed(self.kafka_dsn, group, raw), lambda found: found == ends) == ends
        validated = await read_all(self.kafka_dsn, validated_topic(self.tenant))
        events = [decode_event(record.value) for record in validated]
        firsts = list(dict.fromkeys((event.partition, event.offset, event.event_id) for event in events))
        assert firsts == [(event.partition, event.offset, event.event_id) for event in expected.accepted]
        letters = await read_all(self.kafka_dsn, rejected_topic(self.tenant))
        found = [decode_dead_letter(record.value) for record in letters]
        assert {(letter.partition, letter.offset) for letter in found} == expected.rejected


@asynccontextmanager
async def native_scene(tenant: str, folder: Path) -> AsyncIterator[Scene]:
    """Both servers running, the raw topic made; skips where the native stack is absent."""
    ports = dict(zip(("kafka", "redis"), free_ports(2), strict=True))
    try:
        servers = {name: build_server(name, "native", folder, port) for name, port in ports.items()}
    except NotSetUpError as error:
        unavailable("native", str(error))
    kafka, redis = (SERVERS[name].dsn(port) for name, port in ports.items())
    async with AsyncExitStack() as stack:
        for server in servers.values():
            stack.push_async_callback(server.stop)
        await asyncio.gather(*(server.run() for server in servers.values()))
        await make_topic(kafka, raw_topic(tenant), PARTITIONS)
        yield Scene(tenant, servers["kafka"], servers["redis"], kafka, redis, make_config(kafka))


def roles_of(
    config: StreamConfig, redis: Any, *, cluster: bool = False
) -> list[Callable[..., Coroutine[Any, Any, None]]]:
    """The two roles of `worker stream`, of no configs."""
    judge = Judge(ConfigRegistry())
    sink = RedisFeatureSink(redis, signals, cluster=cluster)
    return [
        lambda stop, ready: run_judge(config, judge, stop, ready),
        lambda stop, ready: run_features(config, sink, LeanJudge(judge), stop, ready),
    ]


def signals(tenant: str, scenario_id: str, scenario_type: str) -> ScenarioSignals:
    found = signals_of_template(scenario_type)
    return ScenarioSignals(int(found.session_gap_min * 60_000), int(found.hot_half_life_h * 3_600_000))


async def kill(server: Server) -> None:
    server.signal(signal.SIGKILL)
    await server.wait()


async def send_paced(scene: Scene, sent: Sequence[Sent], per_s: int) -> None:
    """Evenly, in slices of a twentieth of a second; after a halt it does not catch up."""
    size = max(1, per_s // 20)
    async with Clients(scene.kafka_dsn, scene.tenant) as clients:
        for first in range(0, len(sent), size):
            began = time.monotonic()
            await clients.send(sent[first : first + size])
            await asyncio.sleep(max(0.0, 0.05 - (time.monotonic() - began)))


async def fences_in(redis: Any, tenant: str, *, cluster: bool = False) -> dict[int, int]:
    """The last raw offset counted, by partition; nothing while Redis is away."""
    try:
        found = await redis.hgetall(KeySpace(tenant, cluster=cluster).key("fence", "features"))
    except RedisError:
        return {}
    return {int(partition): int(fence.split(b":")[1]) for partition, fence in found.items()}


async def last_offsets(kafka: str, topic: str) -> dict[int, int]:
    """By partition, of those that hold a record."""
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        ends = await consumer.end_offsets([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
    return {tp.partition: end - 1 for tp, end in ends.items() if end}


async def read_all(kafka: str, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic, partition by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    async with consumer:
        partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return sorted(records, key=lambda record: (record.partition, record.offset))


def assert_held(held: Held, expected: Expected) -> None:
    assert unordered(held) == unordered(held_by(fold(expected.accepted, signals=signals)))


def unordered(held: Held) -> Held:
    """Without what hangs on the order between partitions, for the users whose events lie in several."""
    for user in SPLIT_USERS & held.sessions.keys():
        session = held.sessions[user]
        order_free = {"session_id": "", "closes_at": "", "recent_items": sorted(session["recent_items"])}
        held.sessions[user] = session | order_free
        held.recents[user] = sorted(held.recents[user])
    return held


async def eventually(ask: Callable[[], Awaitable[T]], is_so: Callable[[T], bool]) -> T:
    """The first answer that is so; after the time allowed the last one, for the test to judge."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while not is_so(found := await ask()) and time.monotonic() < deadline:  # others do the work
        await asyncio.sleep(0.1)
    return found
