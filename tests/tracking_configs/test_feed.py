"""The change feed on a real broker."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from infra.stack.kinds import NotSetUpError
from infra.stack.ports import free_ports
from infra.stack.servers import build_server
from schemas.event import Event
from schemas.kafka import KafkaDsn
from schemas.metrics import CONFIG_FEED_UP
from schemas.topics import CONFIG_CHANGES
from tests.tracking_configs.factories import at_door, encode, make_config, make_field
from tracking_configs import feed as feed_module
from tracking_configs.checks import check_config
from tracking_configs.feed import CHUNK, ConfigFeed, ConfigPublisher
from tracking_configs.judge import Judge
from tracking_configs.model import ConfigDraft, TrackingConfig, encode_config
from tracking_configs.registry import ConfigRegistry

pytestmark = pytest.mark.stack

IN_FORCE_WITHIN_S = 2.0
AWAY_IS_SAID_WITHIN_S = 6.0  # five, and one for a busy machine


@pytest.fixture
def dsn(kafka: str) -> KafkaDsn:
    return KafkaDsn.parse(kafka)


@pytest.fixture
async def publisher(dsn: KafkaDsn) -> AsyncIterator[ConfigPublisher]:
    publisher = ConfigPublisher(dsn)
    yield publisher
    await publisher.stop()


class WatchedRegistry(ConfigRegistry):
    """Lets a test wait for a scenario's config."""

    def __init__(self) -> None:
        super().__init__()
        self.came: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def apply(self, config: TrackingConfig) -> bool:
        applied = super().apply(config)
        self.came[config.scenario_id].set()
        return applied


@asynccontextmanager
async def following(registry: ConfigRegistry, dsn: KafkaDsn) -> AsyncIterator[ConfigFeed]:
    feed = ConfigFeed(registry, dsn)
    try:
        await feed.start()
        yield feed
    finally:
        await feed.stop()


async def write(dsn: KafkaDsn, *values: bytes | None) -> None:
    """Put records on the topic as they are."""
    async with AIOKafkaProducer(**dsn.client_options()) as producer:
        for value in values:
            await producer.send_and_wait(CONFIG_CHANGES, value, key=b"x/y")


async def test_a_reader_is_ready_with_all_that_was_published_and_then_follows(
    dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str
) -> None:
    await publisher.publish(make_config(tenant_id=tenant, scenario_id="before"))
    registry = WatchedRegistry()
    feed = ConfigFeed(registry, dsn)
    try:
        await feed.start()
        assert feed.healthy
        assert registry.get(tenant, "before") is not None
        await publisher.publish(make_config(tenant_id=tenant, scenario_id="after"))
        async with asyncio.timeout(IN_FORCE_WITHIN_S):
            await registry.came["after"].wait()
    finally:
        await feed.stop()
    assert not feed.healthy
    assert registry.get(tenant, "after") is not None


async def test_a_malformed_record_is_skipped(dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str) -> None:
    await publisher.publish(make_config(tenant_id=tenant, scenario_id="before"))
    await write(dsn, b"{", b'{"tenant_id": 1}', b"\xff", None)
    await publisher.publish(make_config(tenant_id=tenant, scenario_id="after"))
    registry = ConfigRegistry()
    async with following(registry, dsn):
        assert registry.get(tenant, "after") is not None


async def test_a_config_that_cannot_judge_leaves_the_last_good_one_in_force(
    dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str
) -> None:
    await publisher.publish(make_config(tenant_id=tenant))
    broken = [
        make_config(tenant_id=tenant, version=2, fields=[make_field("a", "string", pattern="(")]),
        make_config(tenant_id=tenant, version=3, fields=[make_field("a", "integer", min_value=9, max_value=1)]),
        make_config(tenant_id=tenant, version=4, fields=[make_field("a", "colour")]),
        make_config(tenant_id=tenant, version=5, scenario_type="opera"),
    ]
    await write(dsn, *map(encode_config, broken))
    registry = ConfigRegistry()
    async with following(registry, dsn):
        held = registry.get(tenant, "feed")
        assert held is not None and held.version == 1


async def test_a_late_reader_never_judges_by_an_older_version_than_the_topic_holds(
    dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str
) -> None:
    kept = [make_config(tenant_id=tenant, version=version) for version in (1, 3, 2)]
    gone = [make_config(tenant_id=tenant, scenario_id="gone", version=version) for version in (1, 3, 2)]
    gone[1] = msgspec.structs.replace(gone[1], is_active=False)
    for config in (*kept, *gone):
        await publisher.publish(config)
    registry = ConfigRegistry()
    async with following(registry, dsn):
        held = registry.get(tenant, "feed")
        assert held is not None and held.version == 3
        assert registry.get(tenant, "gone") is None


async def test_reading_many_configs_lets_the_loop_do_other_things(
    dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str
) -> None:
    await asyncio.gather(
        *(publisher.publish(make_config(tenant_id=tenant, scenario_id=f"s{each}")) for each in range(10 * CHUNK))
    )
    rounds, applied = 0, Counter[int]()

    class Timed(ConfigRegistry):
        def apply(self, config: TrackingConfig) -> bool:
            applied[rounds] += 1
            return super().apply(config)

    async def other_things() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    other = asyncio.create_task(other_things())
    async with following(Timed(), dsn):
        other.cancel()
    assert applied.total() >= 10 * CHUNK
    assert max(applied.values()) <= CHUNK


async def test_what_is_held_is_not_checked_again(
    dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[ConfigDraft] = []

    def check(draft: ConfigDraft) -> None:
        checked.append(draft)
        check_config(draft)

    monkeypatch.setattr(feed_module, "check_config", check)
    await publisher.publish(make_config(tenant_id=tenant))
    registry = ConfigRegistry()
    async with following(registry, dsn):
        assert tenant in {draft.tenant_id for draft in checked}
    checked.clear()
    async with following(registry, dsn):
        assert not [draft for draft in checked if draft.tenant_id == tenant]


async def test_the_topic_is_compacted_and_has_one_partition(
    dsn: KafkaDsn, publisher: ConfigPublisher, tenant: str
) -> None:
    await publisher.publish(make_config(tenant_id=tenant))
    admin = AIOKafkaAdminClient(**dsn.client_options())
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([CONFIG_CHANGES])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, CONFIG_CHANGES)])
    finally:
        await admin.close()
    assert len(topic["partitions"]) == 1
    assert {entry[0]: entry[1] for entry in answer.resources[0][4]}["cleanup.policy"] == "compact"


async def test_the_last_known_configs_stay_in_force_while_the_broker_is_away(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    broker = build_server("kafka", "embedded", tmp_path, port)
    try:
        await broker.run()
    except NotSetUpError as error:
        pytest.skip(str(error))
    dsn = KafkaDsn.parse(f"127.0.0.1:{port}")
    registry, publisher = WatchedRegistry(), ConfigPublisher(dsn)
    judge = Judge(registry, refuse_unknown_scenarios=frozenset({"acme"}))
    feed = ConfigFeed(registry, dsn)
    try:
        await publisher.publish(make_config(scenario_id="before"))
        await feed.start()
        await broker.stop()
        async with asyncio.timeout(AWAY_IS_SAID_WITHIN_S):
            while feed.healthy:
                await asyncio.sleep(0.05)
        assert CONFIG_FEED_UP._value.get() == 0
        with pytest.raises((KafkaError, OSError, TimeoutError)):
            await publisher.publish(make_config(scenario_id="during"))
        assert isinstance(judge.judge(an_event("before"), at_door()), Event)
        await broker.run()
        await publisher.publish(make_config(scenario_id="after"))
        async with asyncio.timeout(30):
            await registry.came["after"].wait()
            while not feed.healthy:
                await asyncio.sleep(0.05)
        assert CONFIG_FEED_UP._value.get() == 1
    finally:
        await feed.stop()
        await publisher.stop()
        await broker.stop()


def an_event(scenario: str) -> bytes:
    named = {"scenario_id": scenario, "user_id": "u", "item_id": "i", "action_type": "click"}
    return encode(named | {"context": {"device_type": "mobile"}})


async def test_a_reader_waits_for_a_broker_that_is_away() -> None:
    feed = ConfigFeed(ConfigRegistry(), KafkaDsn.parse("127.0.0.1:1"))
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await feed.start()
        assert not feed.healthy
    finally:
        await feed.stop()
