"""Replays on real servers, with the stream's workers running: whatever is repeated, every event counts once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient
from redis.asyncio import Redis

from infra.connections import open_clickhouse
from infra.roles.judging import Judging
from ingest_api.dead_letters import DeadLetters, Order
from ingest_api.letter_mapping import mapping_of
from ingest_api.letter_store import LetterStore
from ingest_api.letters import Wanted
from ingest_api.replay_producer import REPLAY_HEADER, ReplayProducer
from schemas.clock import system_clock
from schemas.erased import ErasedUsers
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.features.sink import RedisFeatureSink
from streams.migrations import migrate
from streams.workers import run_analytics, run_features, run_judge
from tests.factories import make_body
from tests.streams.live import make_config, make_topic, producer_client, role
from tracking_configs.errors import EventsUnavailableError
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

EVENTS = 60
WAIT_S = 30
ORDER = Order(wanted=Wanted(), mapping=mapping_of({"rules": [{"rename": {"uid": "user_id"}}]}))
T = TypeVar("T")


class CrashingStore(LetterStore):
    """A replay ends before it is marked."""

    async def mark(self, tenant: str, replays: Any) -> None:
        raise EventsUnavailableError("ClickHouse", "gone")


class World:
    """The servers, the workers on them, and a door's dead letters."""

    def __init__(self, kafka: str, redis: Redis, clickhouse: AsyncClient, open_it: Callable[[], Any]) -> None:
        self.kafka, self.redis, self.clickhouse = kafka, redis, clickhouse
        self.judge = Judge(ConfigRegistry())
        sender = ReplayProducer(KafkaDsn.parse(kafka))
        self.stores = [LetterStore(open_it), CrashingStore(open_it)]
        self.letters, self.crashing = (DeadLetters(store, sender, self.judge) for store in self.stores)

    async def rows(self, query: str, tenant: str) -> list[Any]:
        return list((await self.clickhouse.query(query, parameters={"tenant": tenant})).result_rows)

    async def stored(self, tenant: str) -> int:
        """Accepted events, each id once."""
        query = "SELECT count() FROM user_behaviors FINAL WHERE tenant_id = {tenant:String}"
        return int((await self.rows(query, tenant))[0][0])

    async def rejected(self, tenant: str) -> int:
        query = "SELECT count() FROM rejected_behaviors FINAL WHERE tenant_id = {tenant:String}"
        return int((await self.rows(query, tenant))[0][0])

    async def counted(self, tenant: str) -> int:
        """Events in the sessions of the tenant's users."""
        keys = [key async for key in self.redis.scan_iter(f"{tenant}:user:session:*")]
        values = [await self.redis.hget(key, "events") for key in keys]
        return sum(int(value or 0) for value in values)

    async def fences(self, tenant: str) -> dict[int, int]:
        """partition -> the last raw offset that the features have applied."""
        found: Any = await self.redis.hgetall(f"{tenant}:fence:features")
        return {int(partition): int(fence.split(b":")[1]) for partition, fence in found.items()}


@pytest.fixture
async def world(
    kafka: str, redis_client: Redis, clickhouse: AsyncClient, clickhouse_server: str
) -> AsyncIterator[World]:
    await migrate(clickhouse)
    database = (await clickhouse.query("SELECT currentDatabase()")).result_rows[0][0]
    world = World(kafka, redis_client, clickhouse, lambda: open_clickhouse(f"{clickhouse_server}/{database}"))
    config = make_config(kafka)
    signals = Judging(ConfigRegistry(), None, world.judge, ErasedUsers()).scenario_signals  # type: ignore[arg-type]
    sink = RedisFeatureSink(redis_client, signals)
    async with AsyncExitStack() as workers:
        for run in (
            lambda stop, ready: run_judge(config, world.judge, stop, ready),
            lambda stop, ready: run_features(config, sink, world.judge, stop, ready),
            lambda stop, ready: run_analytics(config, clickhouse, stop, ready),
        ):
            await workers.enter_async_context(role(run))
        yield world
    for store in world.stores:
        await store.close()


async def send_bad(world: World, tenant: str) -> None:
    """Events whose user stands in another field; every third has no id."""
    await make_topic(world.kafka, raw_topic(tenant))
    now = system_clock()
    async with producer_client(world.kafka) as producer:
        for number in range(EVENTS):
            event_id = None if number % 3 == 0 else f"{tenant}-{number}"
            ids = {"event_id": event_id, "tenant_id": tenant, "item_id": f"i{number}", "user_id": None}
            body = make_body(**ids, uid=f"u{number % 7}", timestamp=now - number)
            await producer.send(raw_topic(tenant), msgspec.json.encode(body), partition=number % 2)
        await producer.flush()


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    async with asyncio.timeout(WAIT_S):
        while not good(found := await ask()):
            await asyncio.sleep(0.2)
    return found


async def raw_ends(kafka: str, tenant: str) -> dict[int, int]:
    """partition -> the last offset of the raw topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(raw_topic(tenant), partition) for partition in range(2)])
        return {place.partition: end - 1 for place, end in ends.items()}
    finally:
        await consumer.stop()


async def settled(world: World, tenant: str) -> tuple[int, int]:
    """(events counted in Redis, events stored in ClickHouse) once everything that was sent is in both."""
    ends = await raw_ends(world.kafka, tenant)
    await eventually(lambda: world.fences(tenant), lambda fences: fences == ends)
    await eventually(lambda: world.stored(tenant), lambda stored: stored >= EVENTS)
    return await world.counted(tenant), await world.stored(tenant)


async def test_two_replays_at_once_and_a_third_count_every_event_once(world: World, tenant: str) -> None:
    other = f"{tenant}-other"
    for name in (tenant, other):
        await send_bad(world, name)
        await eventually(partial(world.rejected, name), lambda found: found == EVENTS)
    reports = await asyncio.gather(world.letters.replay(tenant, ORDER), world.letters.replay(tenant, ORDER))
    assert [report.selected for report in reports] == [EVENTS, EVENTS]
    assert EVENTS <= sum(report.replayed for report in reports) <= 2 * EVENTS
    third = await world.letters.replay(tenant, ORDER)
    assert (third.replayed, third.skipped_already) == (0, EVENTS)
    assert await settled(world, tenant) == (EVENTS, EVENTS)
    assert (await world.counted(other), await world.stored(other)) == (0, 0)
    assert await world.rejected(tenant) == EVENTS


async def test_a_replay_that_ended_before_its_marks_is_made_again_and_counts_once(world: World, tenant: str) -> None:
    await send_bad(world, tenant)
    await eventually(lambda: world.rejected(tenant), lambda found: found == EVENTS)
    with pytest.raises(EventsUnavailableError):
        await world.crashing.replay(tenant, ORDER)
    at_once = await world.letters.replay(tenant, ORDER)
    assert at_once.replayed + at_once.skipped_already == EVENTS
    assert await settled(world, tenant) == (EVENTS, EVENTS)


async def test_a_replay_made_again_when_its_events_are_stored_sends_nothing(world: World, tenant: str) -> None:
    await send_bad(world, tenant)
    await eventually(lambda: world.rejected(tenant), lambda found: found == EVENTS)
    with pytest.raises(EventsUnavailableError):
        await world.crashing.replay(tenant, ORDER)
    assert await settled(world, tenant) == (EVENTS, EVENTS)
    ends = await raw_ends(world.kafka, tenant)
    report = await world.letters.replay(tenant, ORDER)
    assert (report.replayed, report.skipped_already) == (0, EVENTS)
    assert await raw_ends(world.kafka, tenant) == ends


async def test_a_replayed_record_says_which_letter_it_replays(world: World, tenant: str) -> None:
    await send_bad(world, tenant)
    await eventually(lambda: world.rejected(tenant), lambda found: found == EVENTS)
    wanted = Wanted(offsets=((1, 4),))
    report = await world.letters.replay(tenant, msgspec.structs.replace(ORDER, wanted=wanted))
    assert (report.selected, report.replayed) == (1, 1)
    assert await headers_of(world.kafka, tenant, EVENTS + 1) == [(REPLAY_HEADER, f"{raw_topic(tenant)}/1/4".encode())]


async def headers_of(kafka: str, tenant: str, count: int) -> list[tuple[str, bytes]]:
    """Every header of the first `count` records of the raw topic."""
    consumer = AIOKafkaConsumer(raw_topic(tenant), bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records: list[Any] = []
        async with asyncio.timeout(WAIT_S):
            while len(records) < count:
                records.append(await consumer.getone())
        return [header for record in records for header in record.headers]
    finally:
        await consumer.stop()
