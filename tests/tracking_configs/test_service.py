"""The service over a store in memory and a publisher that can be away."""

from typing import Any, cast

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from tests.tracking_configs.factories import NOON
from tracking_configs.errors import (
    ConfigExistsError,
    ConfigNotFoundError,
    ConfigStoreUnavailableError,
    InvalidConfigError,
    TemplateNotFoundError,
)
from tracking_configs.feed import ConfigPublisher
from tracking_configs.model import TrackingConfig
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates


class MemoryStore:
    def __init__(self) -> None:
        self.configs: dict[str, TrackingConfig] = {}
        self.waiting: set[str] = set()

    async def create(self, config: TrackingConfig) -> None:
        if config.key in self.configs:
            raise ConfigExistsError(config.tenant_id, config.scenario_id)
        self.configs[config.key] = config
        self.waiting.add(config.key)

    async def get(self, tenant: str, scenario: str, version: int | None = None) -> TrackingConfig | None:
        return self.configs.get(f"{tenant}/{scenario}")

    async def unpublished(self) -> list[TrackingConfig]:
        return [self.configs[key] for key in sorted(self.waiting)]

    async def mark_published(self, config: TrackingConfig) -> None:
        self.waiting.discard(config.key)


class Publisher:
    def __init__(self) -> None:
        self.away = False
        self.sent: list[str] = []

    async def publish(self, config: TrackingConfig) -> None:
        if self.away:
            raise ConnectionError("no broker")
        self.sent.append(config.key)


class Bench:
    def __init__(self) -> None:
        self.store, self.publisher, self.registry = MemoryStore(), Publisher(), ConfigRegistry()
        store, publisher = cast(ConfigStore, self.store), cast(ConfigPublisher, self.publisher)
        self.service = ConfigService(store, publisher, load_templates(), self.registry, clock=lambda: NOON)

    async def create(self, scenario: str = "feed", **overrides: Any) -> TrackingConfig:
        return await self.service.from_template("acme", scenario, "video", "Feed", overrides)


async def test_a_created_config_is_stored_published_and_in_force_at_once() -> None:
    bench = Bench()
    config = await bench.create()
    assert (config.version, config.created_at, config.is_active) == (1, NOON, True)
    assert await bench.service.get("acme", "feed") == config
    assert bench.publisher.sent == ["acme/feed"]
    assert bench.store.waiting == set()
    assert bench.registry.get("acme", "feed") is not None


async def test_a_config_is_created_while_kafka_is_away_and_published_when_it_is_back() -> None:
    bench = Bench()
    bench.publisher.away = True
    await bench.create("one")
    await bench.create("two")
    assert bench.registry.get("acme", "two") is not None
    assert await bench.service.publish_unpublished() == 0
    bench.publisher.away = False
    assert await bench.service.publish_unpublished() == 2
    assert (bench.publisher.sent, bench.store.waiting) == (["acme/one", "acme/two"], set())


async def test_a_second_config_for_the_same_scenario_is_refused() -> None:
    bench = Bench()
    await bench.create()
    with pytest.raises(ConfigExistsError) as caught:
        await bench.create()
    assert caught.value.status == 409


async def test_an_unknown_template_or_config_is_named() -> None:
    bench = Bench()
    with pytest.raises(TemplateNotFoundError, match="no template 'film': there are content"):
        await bench.service.from_template("acme", "feed", "film", "Feed")
    with pytest.raises(ConfigNotFoundError, match="'feed' in version 3"):
        await bench.service.get("acme", "feed", 3)


async def test_a_bad_config_is_not_stored() -> None:
    bench = Bench()
    with pytest.raises(InvalidConfigError, match="more than max_value"):
        await bench.create(fields={"duration": {"max_value": 0}})
    assert bench.store.configs == {}


class AwayCollection:
    def find(self, *_: Any) -> Any:
        raise ServerSelectionTimeoutError("no server")


async def test_a_store_that_is_away_says_so_and_that_a_retry_helps() -> None:
    store = ConfigStore(cast(Any, {"tracking_configs": AwayCollection()}))
    with pytest.raises(ConfigStoreUnavailableError, match="is away: ServerSelectionTimeoutError") as caught:
        await store.get("acme", "feed")
    assert (caught.value.status, caught.value.retryable) == (503, True)
