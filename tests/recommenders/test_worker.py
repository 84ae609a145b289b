"""The worker against a real broker and a real Redis."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from infra.connections import open_deps
from infra.roles.role import Role
from infra.roles.workers import work_recommend
from infra.settings import Settings
from recommenders.read import StoredList, read_list
from recommenders.tenant import TenantSettings
from recommenders.worker import RecommendConfig, RecommendWorker
from schemas.clock import system_clock
from schemas.event import Event
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.topics import validated_topic
from schemas.validated import encode_event
from tests.recommenders.factories import make_event, no_mix
from tests.tracking_configs.factories import make_config
from tracking_configs.feed import ConfigPublisher

pytestmark = pytest.mark.stack

T = TypeVar("T")

PARTITIONS = 2
PATIENCE_S = 40.0  # far over what is promised: the machine may be busy


class Broker:
    """Makes a tenant's validated topic and writes to it as the judge does."""

    def __init__(self, kafka: KafkaDsn) -> None:
        self.kafka = kafka

    async def create(self, tenant: str) -> None:
        admin = AIOKafkaAdminClient(**self.kafka.client_options())
        await admin.start()
        try:
            await admin.create_topics([NewTopic(validated_topic(tenant), PARTITIONS, 1)])
        finally:
            await admin.close()

    async def send(self, *events: Event) -> None:
        await self.send_raw(*((event.tenant_id, event.partition, encode_event(event)) for event in events))

    async def send_raw(self, *values: tuple[str, int, bytes]) -> None:
        producer = AIOKafkaProducer(enable_idempotence=True, **self.kafka.client_options())
        await producer.start()
        try:
            for tenant, partition, value in values:
                await producer.send(validated_topic(tenant), value, partition=partition)
            await producer.flush()
        finally:
            await producer.stop()


@pytest.fixture
def broker(kafka: KafkaDsn) -> Broker:
    return Broker(kafka)


@asynccontextmanager
async def running(kafka: KafkaDsn, redis: Redis, group: str, **settings: Any) -> AsyncIterator[RecommendWorker]:
    """A worker that is ready, in a group of the test's own; stopped at the end."""
    config = RecommendConfig(tenant=TenantSettings(**settings), group=group, discover_s=0.2, commit_s=0.2)
    worker = RecommendWorker(config, kafka, redis, no_mix, system_clock)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(worker.run(stop, ready))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
        yield worker
    finally:
        stop.set()
        await task


async def eventually(call: Callable[[], Awaitable[T | None]]) -> T:
    """The first answer that is true; the test fails when there is none in time."""
    async with asyncio.timeout(PATIENCE_S):
        while not (answer := await call()):
            await asyncio.sleep(0.02)
    return answer


def plays(tenant: str, *played: tuple[str, str], start: int = 0, **fields: Any) -> list[Event]:
    """One partition's events in order: (user, item), raw offsets from `start`."""
    return [
        make_event(tenant_id=tenant, user_id=user, item_id=item, offset=start + n, received_at=system_clock(), **fields)
        for n, (user, item) in enumerate(played)
    ]


SEQUENCES = tuple((f"u{user}", item) for user in range(5) for item in ("a", "b", "c"))


async def test_a_users_list_holds_what_others_liked_next(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    keys = KeySpace(tenant)
    await redis_client.hset(keys.key("item", "a"), mapping={"name": "Alpha", "category": "x", "is_active": "1"})
    async with running(kafka, redis_client, tenant):
        await broker.send(*plays(tenant, *SEQUENCES, ("new", "a")))
        stored = await eventually(lambda: read_list(redis_client, keys, "new", "home"))
    assert stored.items == ("b", "c")
    assert stored.strategy == "personal"
    assert [(reason.code, reason.subject, reason.item_id) for reason in stored.reasons] == [
        ("liked_item", "Alpha", "a")
    ] * 2
    assert set(stored.sources) == {"item_cf"}
    assert 0 < await redis_client.ttl(keys.key("rec:cache", "new", "home")) <= 86_400
    similar = await redis_client.hgetall(keys.key("game:sim", "a"))
    assert set(similar) == {b"b", b"c"}


async def test_a_new_tenant_is_found_while_the_worker_runs(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    async with running(kafka, redis_client, tenant):
        await broker.create(tenant)
        await redis_client.zadd(KeySpace(tenant).key("hot:global"), {"h1": 2.0, "h2": 1.0})
        await broker.send(*plays(tenant, ("u", "a")))
        stored = await eventually(lambda: read_list(redis_client, KeySpace(tenant), "u", "home"))
    assert stored.items == ("h1", "h2")
    assert stored.strategy == "popular"


async def test_a_game_event_renews_every_scene_it_feeds_with_items_of_the_scene(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    keys = KeySpace(tenant)
    slots = plays(tenant, *((f"u{n}", item) for n in range(3) for item in ("s1", "s2")), category="slots")
    crash = plays(tenant, *((f"u{n}", "c1") for n in range(3)), start=6, category="crash")
    asked = plays(tenant, ("new", "s1"), start=9, category="slots", scenario_id="game")
    async with running(kafka, redis_client, tenant):
        await broker.send(*slots, *crash, *asked)
        home = await eventually(lambda: read_list(redis_client, keys, "new", "home"))
        assert set(home.items) == {"s2", "c1"}
        assert (await eventually(lambda: read_list(redis_client, keys, "new", "slots"))).items == ("s2",)
        assert (await eventually(lambda: read_list(redis_client, keys, "new", "crash"))).items == ("c1",)
        assert await read_list(redis_client, keys, "new", "live") is None


async def test_a_restart_rebuilds_the_state_and_renews_only_users_with_newer_events(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    keys = KeySpace(tenant)
    async with running(kafka, redis_client, tenant) as worker:
        await broker.send(*plays(tenant, *SEQUENCES, ("old", "a")))
        await eventually(lambda: read_list(redis_client, keys, "old", "home"))
        await eventually(lambda: committed(worker, tenant, len(SEQUENCES) + 1))
    await redis_client.delete(keys.key("rec:cache", "old", "home"))
    await broker.send(*plays(tenant, ("new", "a"), start=len(SEQUENCES) + 1))
    async with running(kafka, redis_client, tenant):
        stored = await eventually(lambda: read_list(redis_client, keys, "new", "home"))
        assert stored.items == ("b", "c")
        assert await read_list(redis_client, keys, "old", "home") is None


async def committed(worker: RecommendWorker, tenant: str, count: int) -> bool:
    """Of the tenant's topic alone: the broker has those of other tests too."""
    listed = worker._tail.listed.items()
    return sum(offset for tp, offset in listed if tp.topic == validated_topic(tenant)) >= count


async def test_what_the_judge_repeats_counts_once_and_what_cannot_be_read_is_skipped(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    events = plays(tenant, ("u", "a"), ("u", "b"))
    async with running(kafka, redis_client, tenant) as worker:
        await broker.send_raw((tenant, 0, b"not a record"))
        await broker.send(*events, *events, *plays(tenant, ("v", "a"), start=2))
        await eventually(lambda: read_list(redis_client, KeySpace(tenant), "v", "home"))
        assert len(worker.tenants[tenant].stores.item_cf.rows[0]) == 1
        assert worker.tenants[tenant].stores.item_cf.rows[0][1] == pytest.approx(1 / 1.3862943611198906)


async def test_lists_are_written_once_redis_is_back(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    keys = KeySpace(tenant)
    async with running(kafka, redis_client, tenant) as worker:
        away = Redis(host="127.0.0.1", port=1)
        worker.redis = away
        await broker.send(*plays(tenant, *SEQUENCES, ("new", "a")))
        await eventually(lambda: asyncio.sleep(0, not worker._redis_up.is_set()))
        assert await read_list(redis_client, keys, "new", "home") is None
        worker.redis = redis_client
        stored: StoredList = await eventually(lambda: read_list(redis_client, keys, "new", "home"))
        await away.aclose()
    assert stored.items == ("b", "c")


@asynccontextmanager
async def running_role(kafka_server: str, redis_server: str) -> AsyncIterator[None]:
    """The role `worker recommend` as `millrace` runs it, ready."""
    settings = Settings(kafka=kafka_server, redis=redis_server)
    async with open_deps(settings) as deps:
        role = Role("recommend", settings, deps)
        task = asyncio.create_task(work_recommend(role))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await role.ready.wait()
            yield
        finally:
            role.stop.set()
            await task


async def test_a_config_changes_the_sources_of_its_scenarios_next_lists(
    kafka: KafkaDsn, kafka_server: str, redis_server: str, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    keys, publisher, offsets = KeySpace(tenant), ConfigPublisher(kafka), itertools.count()
    await redis_client.zadd(keys.key("hot:global"), {"h1": 2.0, "h2": 1.0})
    await redis_client.zadd(keys.key("items:new"), {"n1": 1.0})

    async def sources_after_an_event(user: str, scenario: str) -> set[str]:
        await broker.send(*plays(tenant, (user, "a"), start=next(offsets), scenario_id=scenario))
        stored = await eventually(lambda: read_list(redis_client, keys, user, "home"))
        return set(stored.sources)

    async def publish(version: int, hot: int) -> None:
        """And wait until the lists of the config's scenario show it."""
        shown = {"hot", "new_items"} if hot else {"new_items"}
        mix = {"hot": {"quota": hot}, "item_cf": {"quota": 100}}
        await publisher.publish(make_config(tenant_id=tenant, scenario_id="feed", version=version, recall_mix=mix))
        deadline = time.monotonic() + PATIENCE_S  # by the clock: the producer may swallow a timeout's cancellation
        while await sources_after_an_event("u", "feed") != shown:
            assert time.monotonic() < deadline, f"version {version} does not show"

    try:
        async with running_role(kafka_server, redis_server):
            assert await sources_after_an_event("u", "feed") == {"hot", "new_items"}
            await publish(version=1, hot=0)
            assert await sources_after_an_event("v", "wall") == {"hot", "new_items"}
            await publish(version=2, hot=10)
            await publish(version=3, hot=0)
        async with running_role(kafka_server, redis_server):
            assert await sources_after_an_event("w", "feed") == {"new_items"}
    finally:
        await publisher.stop()
