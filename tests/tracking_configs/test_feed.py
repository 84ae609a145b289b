"""The change feed on a real broker."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from infra.stack.kinds import NotSetUpError
from infra.stack.ports import free_ports
from infra.stack.servers import build_server
from schemas.kafka import KafkaDsn
from schemas.topics import CONFIG_CHANGES
from tests.tracking_configs.factories import make_config
from tracking_configs import feed as feed_module
from tracking_configs.feed import ConfigFeed, ConfigPublisher
from tracking_configs.model import TrackingConfig
from tracking_configs.registry import ConfigRegistry

pytestmark = pytest.mark.stack

IN_FORCE_WITHIN_S = 2.0


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
    producer = AIOKafkaProducer(**dsn.client_options())
    await producer.start()
    try:
        for value in (b"{", b'{"tenant_id": 1}', b"\xff", None):
            await producer.send_and_wait(CONFIG_CHANGES, value, key=b"x/y")
    finally:
        await producer.stop()
    await publisher.publish(make_config(tenant_id=tenant, scenario_id="after"))
    registry = ConfigRegistry()
    feed = ConfigFeed(registry, dsn)
    try:
        await feed.start()
        assert registry.get(tenant, "after") is not None
    finally:
        await feed.stop()


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


async def test_the_last_known_configs_stay_in_force_while_the_broker_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "PROBE_EVERY_S", 0.2)
    monkeypatch.setattr(feed_module, "PROBE_TIMEOUT_S", 1.0)
    port = free_ports(1)[0]
    broker = build_server("kafka", "embedded", tmp_path, port)
    try:
        await broker.run()
    except NotSetUpError as error:
        pytest.skip(str(error))
    dsn = KafkaDsn.parse(f"127.0.0.1:{port}")
    registry, publisher = WatchedRegistry(), ConfigPublisher(dsn)
    feed = ConfigFeed(registry, dsn)
    try:
        await publisher.publish(make_config(scenario_id="before"))
        await feed.start()
        await broker.stop()
        with pytest.raises((KafkaError, OSError, TimeoutError)):
            await publisher.publish(make_config(scenario_id="during"))
        assert not feed.healthy
        assert registry.get("acme", "before") is not None
        await broker.run()
        await publisher.publish(make_config(scenario_id="after"))
        async with asyncio.timeout(30):
            await registry.came["after"].wait()
    finally:
        await feed.stop()
        await publisher.stop()
        await broker.stop()


async def test_a_reader_waits_for_a_broker_that_is_away() -> None:
    feed = ConfigFeed(ConfigRegistry(), KafkaDsn.parse("127.0.0.1:1"))
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await feed.start()
        assert not feed.healthy
    finally:
        await feed.stop()
