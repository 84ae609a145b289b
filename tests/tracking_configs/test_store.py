"""The store on a real server of MongoDB's protocol."""

import asyncio
import random
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.tracking_configs.factories import NOON, make_config, template_config
from tracking_configs.documents import Documents
from tracking_configs.errors import (
    ConfigExistsError,
    DraftNotFoundError,
    InvalidCursorError,
    VersionConflictError,
)
from tracking_configs.model import TrackingConfig
from tracking_configs.store import HEADS, MAX_PAGE, OUTBOX, OUTBOX_PASS, ConfigStore, Draft, Page

pytestmark = pytest.mark.stack

Database = AsyncDatabase[dict[str, Any]]

ROUNDS = 25


@pytest.fixture
def store(mongo_database: Database) -> ConfigStore:
    return ConfigStore(mongo_database)


def names(page: Page) -> list[str]:
    return [config.scenario_id for config in page.items]


def made(scenario: str, version: int = 1, **parts: Any) -> TrackingConfig:
    return make_config(scenario_id=scenario, version=version, **parts)


async def stored(store: ConfigStore, name: str, versions: int = 1, **parts: Any) -> TrackingConfig:
    """The last of so many versions of a config."""
    await store.create(made(name, **parts))
    for version in range(2, versions + 1):
        await store.append(made(name, version, **parts))
    return made(name, versions, **parts)


async def current_version(store: ConfigStore, name: str) -> int:
    found = await store.get("acme", name)
    return found.version if found else 0


async def all_pages(store: ConfigStore, **filters: Any) -> list[Page]:
    pages = [await store.list_page(**filters)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await store.list_page(cursor=cursor, **filters))
    return pages


# Versions


async def test_what_was_stored_is_read_back(store: ConfigStore) -> None:
    config = template_config("music", fields={"bpm": {"default": {"$a.b": 2**70}}})
    await store.create(config)
    assert await store.get("acme", config.scenario_id) == config
    assert await store.get("acme", config.scenario_id, 1) == config
    assert await store.get("acme", config.scenario_id, 2) is None
    assert await store.get("acme", "other") is None


async def test_a_config_is_created_once(store: ConfigStore) -> None:
    await store.create(made("feed"))
    with pytest.raises(ConfigExistsError):
        await store.create(made("feed", name="Another"))
    found = await store.get("acme", "feed")
    assert found is not None and found.name == "Feed"


async def test_a_deleted_config_is_not_created_again_but_goes_on(store: ConfigStore) -> None:
    await store.create(made("feed"))
    await store.append(msgspec.structs.replace(made("feed", 2), is_active=False))
    with pytest.raises(ConfigExistsError):
        await store.create(made("feed"))
    await store.append(made("feed", 3))
    assert names(await store.list_page()) == ["feed"]


async def test_a_config_begins_with_version_1(store: ConfigStore) -> None:
    with pytest.raises(ValueError, match="begins with version 1, not 2"):
        await store.create(made("feed", 2))


async def test_the_current_version_is_the_highest_and_each_stays(store: ConfigStore) -> None:
    await stored(store, "feed", 11)
    assert await current_version(store, "feed") == 11
    for version in range(1, 12):
        assert await store.get("acme", "feed", version) == made("feed", version)


async def test_slashes_in_a_scenarios_name_do_not_mix_configs(store: ConfigStore) -> None:
    for name, versions in (("a", 3), ("a/2", 2), ("a/2/1", 1)):
        await stored(store, name, versions)
    assert [await current_version(store, name) for name in ("a", "a/2", "a/2/1", "a/1")] == [3, 2, 1, 0]


@pytest.mark.parametrize(("versions", "wanted"), [(0, 1), (0, 2), (3, 1), (3, 3), (3, 5)])
async def test_only_the_next_version_is_appended(store: ConfigStore, versions: int, wanted: int) -> None:
    if versions:
        await stored(store, "feed", versions)
    with pytest.raises(VersionConflictError) as caught:
        await store.append(made("feed", wanted, name="Another"))
    assert (caught.value.status, caught.value.current) == (412, versions)
    assert await current_version(store, "feed") == versions
    assert (await store.versions("acme", "feed")).items == tuple(made("feed", n) for n in range(versions, 0, -1))


async def test_versions_are_paged_from_the_newest(store: ConfigStore) -> None:
    await stored(store, "feed", 5)
    seen: list[list[int]] = []
    before: int | None = None
    while before is not None or not seen:
        items, before = await store.versions("acme", "feed", 2, before)
        seen.append([config.version for config in items])
    assert seen == [[5, 4], [3, 2], [1]]


@pytest.mark.parametrize(("before", "expected"), [(10**9, [3, 2]), (3, [2, 1]), (2, [1]), (1, []), (-5, [])])
async def test_versions_before_any_number_can_be_asked_for(
    store: ConfigStore, before: int, expected: list[int]
) -> None:
    await stored(store, "feed", 3)
    history = await store.versions("acme", "feed", 2, before)
    assert [config.version for config in history.items] == expected
    assert history.before == (2 if before == 10**9 else None)


async def test_a_config_that_is_not_there_has_no_versions(store: ConfigStore) -> None:
    assert await store.versions("acme", "feed") == ((), None)


# Races


async def won(writes: list[Awaitable[None]], refusal: type[Exception]) -> list[int]:
    """Which of the writes made at the same time was taken; the others were refused in the way named."""
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, refusal) for outcome in outcomes), outcomes
    return [index for index, outcome in enumerate(outcomes) if outcome is None]


async def test_of_racing_creations_one_wins(store: ConfigStore, mongo_database: Database) -> None:
    other = ConfigStore(mongo_database)
    for number in range(ROUNDS):
        configs = [made(f"s{number}", name=name) for name in "abcd"]
        writers = [store, other, store, other]
        winners = await won([w.create(config) for w, config in zip(writers, configs, strict=True)], ConfigExistsError)
        assert [await store.get("acme", f"s{number}")] == [configs[index] for index in winners]


async def test_of_racing_changes_one_wins(store: ConfigStore, mongo_database: Database) -> None:
    other = ConfigStore(mongo_database)
    await store.create(made("feed"))
    for version in range(2, ROUNDS + 2):
        configs = [made("feed", version, name=name) for name in "abcd"]
        writers = [store, other, store, other]
        winners = await won(
            [w.append(config) for w, config in zip(writers, configs, strict=True)], VersionConflictError
        )
        assert [await store.get("acme", "feed")] == [configs[index] for index in winners]
    assert (await mongo_database[HEADS].find_one({"_id": "acme/feed"}) or {})["version"] == ROUNDS + 1


async def test_many_writers_lose_no_change_and_leave_the_head_at_the_highest(
    store: ConfigStore, mongo_database: Database
) -> None:
    await store.create(made("feed"))

    async def change(author: str) -> None:
        mine, at = 0, 1
        while mine < 10:
            try:
                await store.append(made("feed", at + 1, name=author))
                mine, at = mine + 1, at + 1
            except VersionConflictError as error:
                at = error.current

    await asyncio.gather(*(change(author) for author in "abcd"))
    history = (await store.versions("acme", "feed", MAX_PAGE)).items
    assert [config.version for config in history] == list(range(41, 0, -1))
    assert sorted(config.name for config in history[:-1]) == sorted("abcd" * 10)
    assert (await mongo_database[HEADS].find_one({"_id": "acme/feed"}) or {})["version"] == 41


async def test_a_slow_writer_does_not_leave_the_head_behind(
    store: ConfigStore, mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(made("feed"))
    slow = ConfigStore(mongo_database)
    put = slow._heads.put

    async def put_late(document: dict[str, Any]) -> None:
        if document["version"] == 2:
            await store.append(made("feed", 3))
        await put(document)

    monkeypatch.setattr(slow._heads, "put", put_late)
    await slow.append(made("feed", 2))
    assert [config.version for config in (await store.list_page()).items] == [3]


# Writers that die


class DiedError(BaseException):
    """The end of a process."""


@contextmanager
def dying_after(writes: int) -> Iterator[None]:
    """Within the block the process ends where it would write one document more than that."""
    left = iter(range(writes))

    def limited(write: Any) -> Any:
        async def limited_write(documents: Documents, document: dict[str, Any]) -> Any:
            if next(left, None) is None:
                raise DiedError
            return await write(documents, document)

        return limited_write

    with pytest.MonkeyPatch.context() as patch, suppress(DiedError):
        for name in ("add", "put"):
            patch.setattr(Documents, name, limited(getattr(Documents, name)))
        yield


@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize("before", [0, 2])
async def test_a_change_whose_writer_died_is_not_there_or_completed_by_the_next_reader(
    store: ConfigStore, before: int, writes: int
) -> None:
    if before:
        await stored(store, "feed", before)
        await drained(store)
    with dying_after(writes):
        await (store.append if before else store.create)(made("feed", before + 1))
    expected = before + 1 if writes else before
    assert await current_version(store, "feed") == expected
    assert [config.version for config in (await store.list_page()).items] == ([expected] if expected else [])
    assert [config.version for config in await store.unpublished()] == ([expected] if writes else [])


async def test_a_change_whose_writer_died_after_the_outbox_entry_needs_no_reader(store: ConfigStore) -> None:
    with dying_after(2):
        await store.create(made("feed"))
    assert await store.unpublished() == [made("feed")]
    assert (await store.list_page()).items == (made("feed"),)


async def test_a_config_whose_creator_died_exists(store: ConfigStore) -> None:
    with dying_after(1):
        await store.create(made("feed"))
    with pytest.raises(ConfigExistsError):
        await store.create(made("feed"))
    assert await store.unpublished() == [made("feed")]


@pytest.mark.parametrize("seed", range(5))
async def test_whoever_dies_wherever_the_next_reader_finds_all_in_order(store: ConfigStore, seed: int) -> None:
    dice = random.Random(seed)
    await store.create(made("feed"))
    for _ in range(15):
        with dying_after(dice.randrange(5)):
            await store.append(made("feed", await current_version(store, "feed") + 1))
            await store.mark_published(made("feed", await current_version(store, "feed")))
        with dying_after(dice.randrange(3)):
            await store.unpublished()
    newest = await current_version(store, "feed")
    history = await store.versions("acme", "feed", MAX_PAGE)
    assert [config.version for config in history.items] == list(range(newest, 0, -1))
    assert [config.version for config in (await store.list_page()).items] == [newest]
    assert {config.version for config in await store.unpublished()} <= {newest}


# Lists


async def test_pages_hold_each_current_config_once_and_in_order(store: ConfigStore) -> None:
    for name in "daceb":
        await stored(store, name, 2)
    pages = await all_pages(store, limit=2)
    assert [names(page) for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert {config.version for page in pages for config in page.items} == {2}


async def test_a_list_leaves_out_other_types_and_deleted_ones(store: ConfigStore) -> None:
    await stored(store, "plain")
    await stored(store, "film", scenario_type="video")
    await stored(store, "gone")
    await store.append(msgspec.structs.replace(made("gone", 2), is_active=False))
    assert names(await store.list_page()) == ["film", "plain"]
    assert names(await store.list_page(scenario_type="video")) == ["film"]
    assert names(await store.list_page(include_inactive=True)) == ["film", "gone", "plain"]


async def test_a_page_shows_one_tenants_configs_only_whatever_the_cursor(store: ConfigStore) -> None:
    for tenant in ("acme", "acme-2", "b"):
        for name in ("x", "y", "z"):
            await stored(store, name, tenant_id=tenant)
    everyones = await all_pages(store, limit=1)
    cursors = [None, *(page.next_cursor for page in everyones[:-1])]
    assert len(cursors) == 9
    for cursor in cursors:
        page = await store.list_page(tenant="acme-2", cursor=cursor)
        assert {config.tenant_id for config in page.items} <= {"acme-2"}
    assert [names(page) for page in await all_pages(store, tenant="acme-2", limit=2)] == [["x", "y"], ["z"]]


async def test_a_thousand_configs_are_paged_without_loss(store: ConfigStore) -> None:
    numbers = [f"s{number:04}" for number in range(1100)]
    for start in range(0, len(numbers), 50):
        await asyncio.gather(*(store.create(made(name)) for name in numbers[start : start + 50]))
    await store.append(made("s0500", 2))
    pages = await all_pages(store, limit=10_000)
    assert [len(page.items) for page in pages] == [MAX_PAGE] * 5 + [100]
    assert [name for page in pages for name in names(page)] == numbers
    assert [config.version for config in pages[2].items if config.scenario_id == "s0500"] == [2]
    assert [len((await store.list_page(limit=limit)).items) for limit in (-1, 0, 1, 7)] == [1, 1, 1, 7]


@pytest.mark.parametrize("cursor", ["x", "!!", "/w==", "é"])
async def test_a_cursor_that_no_page_gave_is_refused(store: ConfigStore, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await store.list_page(cursor=cursor)


# The outbox


async def drained(store: ConfigStore) -> list[TrackingConfig]:
    """What waited, marked."""
    sent: list[TrackingConfig] = []
    while waiting := await store.unpublished():
        for config in waiting:
            await store.mark_published(config)
        sent += waiting
    return sent


async def test_what_is_not_published_waits_in_its_newest_version_only(store: ConfigStore) -> None:
    feed, shop = await stored(store, "feed", 3), await stored(store, "shop")
    waiting = await store.unpublished()
    assert sorted(waiting, key=lambda config: config.scenario_id) == [feed, shop]
    await store.mark_published(feed)
    assert await store.unpublished() == [shop]
    await store.mark_published(shop)
    assert await store.unpublished() == []


async def test_an_older_version_marked_late_leaves_the_newer_waiting(store: ConfigStore) -> None:
    second = await stored(store, "feed", 2)
    await store.mark_published(made("feed", 1))
    assert await store.unpublished() == [second]


async def test_an_older_version_that_another_may_be_publishing_sends_the_newest_again(store: ConfigStore) -> None:
    second = await stored(store, "feed", 2)
    await store.mark_published(second)
    assert await drained(store) == [second]


async def test_a_pass_is_bounded_and_passes_empty_the_outbox(store: ConfigStore, mongo_database: Database) -> None:
    configs = [await stored(store, f"s{number:03}", 2) for number in range(OUTBOX_PASS)]
    assert len(await store.unpublished()) <= OUTBOX_PASS
    sent = {config.scenario_id: config for config in await drained(store)}
    assert sorted(sent.values(), key=lambda config: config.scenario_id) == configs
    assert await mongo_database[OUTBOX].find_one() is None


@pytest.mark.parametrize("seed", range(5))
async def test_the_topic_ends_with_the_newest_however_publishers_overtake_one_another(
    store: ConfigStore, mongo_database: Database, seed: int
) -> None:
    dice, topic = random.Random(seed), {}

    async def publish(writer: ConfigStore, config: TrackingConfig | None) -> None:
        """As the docstring of `unpublished` asks of a publisher."""
        published: list[TrackingConfig] = []
        while config is not None and config not in published:
            await asyncio.sleep(dice.random() / 50)
            topic["feed"] = config.version
            published.append(config)
            config = await writer.get("acme", "feed")
        for each in published:
            await writer.mark_published(each)

    async def write() -> None:
        writer = ConfigStore(mongo_database)
        for _ in range(5):
            config = made("feed", await current_version(writer, "feed") + 1)
            with suppress(VersionConflictError):
                await writer.append(config)
                await publish(writer, config)

    async def pass_over() -> None:
        for config in await store.unpublished():
            await publish(store, config)

    await store.create(made("feed"))
    await asyncio.gather(write(), write(), write(), *(pass_over() for _ in range(5)))
    assert topic["feed"] == await current_version(store, "feed")
    await pass_over()
    assert await store.unpublished() == []


# Drafts


async def test_a_draft_is_kept_until_the_next_or_until_it_is_deleted(store: ConfigStore) -> None:
    await store.save_draft("acme", "feed", '{"a": 1}', NOON)
    await store.save_draft("acme", "feed", '{"$a.b": 2}', NOON + 1)
    draft = await store.get_draft("acme", "feed")
    assert draft == Draft('{"$a.b": 2}', NOON + 1)
    assert type(draft.created_at) is int
    await store.delete_draft("acme", "feed")
    await store.delete_draft("acme", "feed")
    with pytest.raises(DraftNotFoundError) as caught:
        await store.get_draft("acme", "feed")
    assert caught.value.status == 404


async def test_a_draft_is_not_in_force_and_belongs_to_one_scenario(store: ConfigStore) -> None:
    await store.save_draft("acme", "feed", "{}", NOON)
    assert await store.get("acme", "feed") is None
    assert await store.list_page() == Page((), None)
    for tenant, scenario in (("acme", "shop"), ("acme-2", "feed")):
        with pytest.raises(DraftNotFoundError):
            await store.get_draft(tenant, scenario)
