"""The service over a store in memory and a publisher that can be away."""

from typing import Any, cast

import msgspec
import pytest
from pymongo import AsyncMongoClient

from tests.tracking_configs.factories import NOON
from tracking_configs.change import Change, Verdict
from tracking_configs.errors import (
    BreakingChangeError,
    ConfigExistsError,
    ConfigNotFoundError,
    ConfigStoreUnavailableError,
    InvalidConfigError,
    TemplateNotFoundError,
    VersionConflictError,
)
from tracking_configs.feed import ConfigPublisher
from tracking_configs.model import TrackingConfig
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import NOBODY, UNGUARDED, Authorship, ConfigService, Guard
from tracking_configs.store import ConfigStore, History
from tracking_configs.template import load_templates


class MemoryStore:
    """A store for one process. `faster`: a version that another writer stores just before the next append."""

    def __init__(self) -> None:
        self.kept: dict[str, list[TrackingConfig]] = {}
        self.waiting: set[str] = set()
        self.faster: TrackingConfig | None = None

    async def create(self, config: TrackingConfig) -> None:
        if config.key in self.kept:
            raise ConfigExistsError(config.tenant_id, config.scenario_id)
        self.kept[config.key] = [config]
        self.waiting.add(config.key)

    async def append(self, config: TrackingConfig) -> None:
        versions = self.kept[config.key]
        if self.faster is not None:
            versions.append(self.faster)
        if len(versions) != config.version - 1:
            raise VersionConflictError(config.tenant_id, config.scenario_id, len(versions))
        versions.append(config)
        self.waiting.add(config.key)

    async def get(self, tenant: str, scenario: str, version: int | None = None) -> TrackingConfig | None:
        versions = self.kept.get(f"{tenant}/{scenario}", [])
        wanted = len(versions) if version is None else version
        return versions[wanted - 1] if 1 <= wanted <= len(versions) else None

    async def versions(self, tenant: str, scenario: str, limit: int, before: int | None = None) -> History:
        newest = (before or len(self.kept.get(f"{tenant}/{scenario}", [])) + 1) - 1
        found = self.kept.get(f"{tenant}/{scenario}", [])[max(0, newest - limit) : newest]
        return History(tuple(reversed(found)), newest - limit + 1 if newest > limit else None)

    async def unpublished(self) -> list[TrackingConfig]:
        return [self.kept[key][-1] for key in sorted(self.waiting)]

    async def mark_published(self, config: TrackingConfig) -> None:
        self.waiting.discard(config.key)


class Publisher:
    def __init__(self) -> None:
        self.away = False
        self.sent: list[str] = []
        self.versions: list[int] = []

    async def publish(self, config: TrackingConfig) -> None:
        if self.away:
            raise ConnectionError("no broker")
        self.sent.append(config.key)
        self.versions.append(config.version)


class Bench:
    def __init__(self) -> None:
        self.store, self.publisher, self.registry = MemoryStore(), Publisher(), ConfigRegistry()
        store, publisher = cast(ConfigStore, self.store), cast(ConfigPublisher, self.publisher)
        self.outbox = ConfigOutbox(store, publisher)
        self.service = ConfigService(store, self.outbox, load_templates(), self.registry, clock=lambda: NOON)

    async def create(self, scenario: str = "feed", **overrides: Any) -> TrackingConfig:
        return (await self.service.from_template("acme", scenario, "video", "Feed", overrides)).config


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
    assert await bench.outbox.publish_waiting() == 0
    bench.publisher.away = False
    assert await bench.outbox.publish_waiting() == 2
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
    assert bench.store.kept == {}


async def test_a_store_that_is_away_says_so_and_that_a_retry_helps() -> None:
    nowhere: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    with pytest.raises(ConfigStoreUnavailableError, match="does not answer") as caught:
        await ConfigStore(nowhere["millrace"]).get("acme", "feed")
    assert (caught.value.status, caught.value.retryable) == (503, True)
    await nowhere.close()


async def test_an_update_is_the_next_version_in_force_and_says_what_it_changes() -> None:
    bench = Bench()
    first = await bench.create()
    parts = {"enforcement": "reject", "hot_half_life_h": 3}
    config, change = await update(bench, parts, by=Authorship("ana", "clients are clean"))
    assert (config.version, config.enforcement, config.hot_half_life_h) == (2, "reject", 3)
    assert (config.author, config.reason, config.created_at) == ("ana", "clients are clean", first.created_at)
    assert config.required_fields == first.required_fields
    assert change.verdict is Verdict.BREAKING
    held = bench.registry.get("acme", "feed")
    assert held is not None and held.config == config
    assert bench.publisher.versions == [1, 2]


async def update(
    bench: Bench, parts: dict[str, Any], guard: Guard = UNGUARDED, by: Authorship = NOBODY
) -> tuple[TrackingConfig, Change]:
    applied = await bench.service.update("acme", "feed", parts, guard, by)
    assert applied.change is not None
    return applied.config, applied.change


async def test_a_stale_writer_and_the_slower_of_two_are_told_the_current_version() -> None:
    bench = Bench()
    first = await bench.create()
    await update(bench, {"name": "Two"}, Guard(expected=1))
    with pytest.raises(VersionConflictError) as stale:
        await update(bench, {"name": "Three"}, Guard(expected=1))
    bench.store.faster = first
    with pytest.raises(VersionConflictError) as slower:
        await update(bench, {"name": "Three"})
    assert (stale.value.current, slower.value.current) == (2, 3)


@pytest.mark.parametrize(
    ("enforcement", "allow_breaking", "refused"),
    [("warn", None, False), ("warn", False, True), ("reject", None, True), ("reject", True, False)],
)
async def test_a_breaking_change_is_refused_where_it_would_reject_events_or_the_caller_says_so(
    enforcement: str, allow_breaking: bool | None, refused: bool
) -> None:
    bench = Bench()
    await bench.create(enforcement=enforcement)
    changing = update(bench, {"optional_fields": []}, Guard(allow_breaking=allow_breaking))
    if not refused:
        assert (await changing)[1].verdict is Verdict.BREAKING
        return
    with pytest.raises(BreakingChangeError, match="allow_breaking=true") as caught:
        await changing
    assert caught.value.problems[0].field.startswith("fields.")
    assert (await bench.service.get("acme", "feed")).version == 1


async def test_fields_that_go_are_forgotten_by_what_named_them() -> None:
    bench = Bench()
    await bench.create()
    config, _ = await update(bench, {"required_fields": []})
    assert (config.dwell, config.completion_field) == (None, None)
    with pytest.raises(InvalidConfigError, match=r"dwell\.field"):
        await update(bench, {"dwell": {"field": "watch_duration", "unit": "s"}})


@pytest.mark.parametrize("part", [{"tenant_id": "umbra"}, {"scenario_type": "news"}, {"colour": "red"}, {"name": 5}])
async def test_a_part_that_is_none_is_refused(part: dict[str, Any]) -> None:
    bench = Bench()
    await bench.create()
    with pytest.raises(InvalidConfigError, match=next(iter(part))):
        await update(bench, part)


async def test_what_was_read_can_be_sent_back() -> None:
    bench = Bench()
    config = await bench.create()
    sent = {name: each for name, each in msgspec.to_builtins(config).items() if name not in ("author", "reason")}
    again, change = await update(bench, sent)
    assert (change.verdict, change.details) == (Verdict.COMPATIBLE, ())
    assert again == msgspec.structs.replace(config, version=2)


async def test_a_deleted_config_judges_nothing_until_it_is_brought_back() -> None:
    bench = Bench()
    await bench.create()
    gone = (await bench.service.delete("acme", "feed", by=Authorship("ana"))).config
    assert (gone.version, gone.is_active, gone.author) == (2, False, "ana")
    assert bench.registry.get("acme", "feed") is None
    assert (await bench.service.delete("acme", "feed")).config == gone
    back, _ = await update(bench, {"is_active": True})
    assert (back.version, back.is_active) == (3, True)
    assert bench.registry.get("acme", "feed") is not None


async def test_a_rollback_is_a_new_version_that_says_what_an_old_one_said() -> None:
    bench = Bench()
    first = await bench.create()
    await update(bench, {"optional_fields": [], "enforcement": "reject"})
    await bench.service.delete("acme", "feed")
    applied = await bench.service.rollback("acme", "feed", 1)
    assert applied.config == msgspec.structs.replace(first, version=4, reason="rollback to version 1")
    with pytest.raises(ConfigNotFoundError, match="version 9"):
        await bench.service.rollback("acme", "feed", 9)


async def test_the_history_tells_who_changed_what() -> None:
    bench = Bench()
    await bench.create()
    await update(bench, {"name": "Two"}, by=Authorship("ana", "a better name"))
    await update(bench, {"optional_fields": []})
    history = await bench.service.versions("acme", "feed", limit=2)
    assert [step.config.version for step in history.items] == [3, 2]
    assert [step.change and step.change.verdict for step in history.items] == [Verdict.BREAKING, Verdict.COMPATIBLE]
    assert history.before == 2
    rest = await bench.service.versions("acme", "feed", limit=2, before=history.before)
    assert [(step.config.version, step.change) for step in rest.items] == [(1, None)]
    assert (await bench.service.compare("acme", "feed", 1, 3)).verdict is Verdict.BREAKING


async def test_who_published_an_old_version_late_publishes_the_newer_one_after_it() -> None:
    """The topic keeps a config's last record only."""
    bench = Bench()
    first = await bench.create()
    await update(bench, {"name": "Two"})
    await bench.outbox.publish(first)
    assert bench.publisher.versions == [1, 2, 1, 2]


async def test_a_candidate_is_what_an_update_would_make_and_is_not_stored() -> None:
    bench = Bench()
    fresh = await bench.service.candidate("acme", "feed", {"scenario_type": "video", "name": "Feed"})
    assert (fresh.version, fresh.session_gap_min, bench.store.kept) == (1, 30, {})
    await bench.create()
    candidate = await bench.service.candidate("acme", "feed", {"session_gap_min": 5})
    assert (candidate.version, candidate.session_gap_min) == (2, 5)
    assert (await bench.service.get("acme", "feed")).version == 1


async def test_a_change_made_while_kafka_is_away_says_that_it_waits() -> None:
    bench = Bench()
    await bench.create()
    bench.publisher.away = True
    applied = await bench.service.update("acme", "feed", {"name": "Two"})
    assert (applied.config.version, applied.published) == (2, False)
    bench.publisher.away = False
    await bench.outbox.publish_waiting()
    assert bench.publisher.versions == [1, 2]


async def test_deletion_is_guarded_and_coming_back_is_not_a_change_that_breaks() -> None:
    bench = Bench()
    await bench.create(enforcement="reject")
    with pytest.raises(BreakingChangeError):
        await bench.service.delete("acme", "feed", Guard(allow_breaking=False))
    await bench.service.delete("acme", "feed")
    assert (await update(bench, {"is_active": True}))[0].is_active


async def test_the_config_in_force_is_read_while_the_store_is_away() -> None:
    bench = Bench()
    config = await bench.create()

    async def nobody(*_: Any) -> None:
        raise ConfigStoreUnavailableError

    bench.store.get = nobody  # type: ignore[method-assign, assignment]
    assert await bench.service.get("acme", "feed") == config
    for call in (bench.service.get("acme", "feed", 1), bench.service.get("acme", "other"), update(bench, {})):
        with pytest.raises(ConfigStoreUnavailableError):
            await call
