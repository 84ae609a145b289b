"""The sources, filters, scorer and selector, each over stores filled by hand."""

from typing import Any

import numpy as np
import pytest

from recommenders.candidates import Query, merge
from recommenders.filters.already_seen import AlreadySeen
from recommenders.filters.inactive import Inactive
from recommenders.filters.out_of_scene import OutOfScene
from recommenders.hydrators.catalogue import CatalogueHydrator
from recommenders.reasons import TEXTS, Reason, reason_text
from recommenders.scenes import Part, SourcePart
from recommenders.scorers.weighted import WeightedScorer, contributions
from recommenders.selectors.top import Top
from recommenders.sources.hot import HotSource
from recommenders.sources.item_cf import ItemCFSource
from recommenders.sources.new_items import NewItemsSource
from recommenders.stores import HOT_GLOBAL, NEW_ITEMS, Stores
from schemas.hot import HotRecord
from streams.features.model import DAY_MS
from tests.factories import NOON
from tests.recommenders.factories import SLOTS, hold, make_query, make_recalled, make_weights


def make_stores(*categories: str) -> Stores:
    """Items i0, i1, ... of these categories; "" is unknown."""
    stores = Stores.empty()
    for number, category in enumerate(categories):
        stores.items.number(f"i{number}")
        stores.catalogue.note_category(number, category)
    return stores


def settings(quota: int = 10) -> SourcePart:
    return SourcePart(part="part", quota=quota)


async def recall(source: Any, query: Query) -> tuple[list[int], list[Reason]]:
    (found,) = await source.recall([query])
    return found.items.tolist(), [found.reasons[row] for row in found.reason_of.tolist()]


def learn_chain(stores: Stores, *items: int) -> None:
    """One user liked these in order."""
    for place, item in enumerate(items):
        stores.item_cf.learn(items[:place], item)


async def test_item_cf_recalls_what_goes_with_the_history_and_says_with_which_item() -> None:
    stores = make_stores("", "", "")
    learn_chain(stores, 0, 1)
    items, reasons = await recall(ItemCFSource(stores, settings()), make_query(history=(0,)))
    assert items == [1]
    assert reasons == [Reason("liked_item", "i0", "i0")]


async def test_item_cf_spends_no_quota_on_the_users_own_history() -> None:
    stores = make_stores("", "", "")
    learn_chain(stores, 0, 1, 2)
    items, _ = await recall(ItemCFSource(stores, settings(quota=1)), make_query(history=(0, 1)))
    assert [item for item in items if item not in (0, 1)] == [2]


async def test_item_cf_recalls_for_a_scene_its_categories_and_what_has_none() -> None:
    stores = make_stores("slots", "slots", "live", "")
    learn_chain(stores, 0, 1, 2, 3)
    items, _ = await recall(ItemCFSource(stores, settings()), make_query(history=(0,), scene=SLOTS))
    assert sorted(items) == [1, 3]


async def test_hot_of_a_scene_with_categories_comes_from_their_lists_alone() -> None:
    stores = make_stores("slots", "live")
    hold(stores, ("hot:category", "slots"), "i0")
    hold(stores, HOT_GLOBAL, "i1")
    items, reasons = await recall(HotSource(stores, settings()), make_query(scene=SLOTS))
    assert items == [0]
    assert reasons == [Reason("hot_category", "slots")]


async def test_hot_adds_up_scenario_the_users_categories_and_the_whole_tenant() -> None:
    stores = make_stores("news", "", "", "")
    hold(stores, ("hot:scenario", "feed"), "i1", "i2")
    hold(stores, ("hot:category", "news"), "i2")
    hold(stores, HOT_GLOBAL, "i3")
    items, reasons = await recall(HotSource(stores, settings()), make_query(history=(0,), scenario="feed"))
    assert items == [2, 1, 3]
    assert [reason.code for reason in reasons] == ["hot_category", "hot_scenario", "hot_global"]


async def test_hot_counts_a_quiet_list_for_less_than_a_lively_one() -> None:
    stores = make_stores("quiet", "", "", "")
    hold(stores, ("hot:category", "quiet"), "i1", record=HotRecord(NOON - 9 * DAY_MS, DAY_MS, NOON - 3 * DAY_MS))
    hold(stores, HOT_GLOBAL, "i2", "i3", record=HotRecord(0, 2 * DAY_MS, NOON))
    (recalled,) = await HotSource(stores, settings()).recall([make_query(history=(0,))])
    assert dict(zip(recalled.items.tolist(), recalled.scores.tolist(), strict=True)) == {2: 0.5, 3: 0.25, 1: 0.125}


async def test_hot_follows_its_lists() -> None:
    stores = make_stores("", "")
    source = HotSource(stores, settings())
    hold(stores, HOT_GLOBAL, "i0")
    assert (await recall(source, make_query()))[0] == [0]
    hold(stores, HOT_GLOBAL, "i1")
    assert (await recall(source, make_query()))[0] == [1]


async def test_new_items_start_elsewhere_for_each_user_so_that_each_item_comes_first_for_someone() -> None:
    stores = make_stores(*[""] * 5)
    hold(stores, NEW_ITEMS, *(f"i{n}" for n in range(5)))
    source = NewItemsSource(stores, settings(quota=2))
    firsts = {(await recall(source, make_query(user_id=f"u{n}")))[0][0] for n in range(100)}
    assert firsts == set(range(5))


async def test_new_items_of_a_scene_are_of_its_categories() -> None:
    stores = make_stores("live", "slots")
    hold(stores, NEW_ITEMS, "i0", "i1")
    assert (await recall(NewItemsSource(stores, settings()), make_query(scene=SLOTS)))[0] == [1]


async def test_filters_keep_out_what_was_seen_is_inactive_or_out_of_scene() -> None:
    stores, part = make_stores("slots", "slots", "live", "slots"), Part(part="part")
    stores.catalogue._active[1] = False
    query = make_query(scene=SLOTS, seen={0})
    merged = merge([make_recalled([0, 1, 2, 3])])
    (features,) = await CatalogueHydrator(stores, part).hydrate([query], [merged])
    candidates = merged.with_features(features)
    for kept, filter_ in (
        ([1, 2, 3], AlreadySeen(stores, part)),
        ([0, 2, 3], Inactive(stores, part)),
        ([0, 1, 3], OutOfScene(stores, part)),
    ):
        (mask,) = await filter_.keep([query], [candidates])
        assert candidates.items[mask].tolist() == kept


async def test_the_weighted_score_adds_each_sources_share_of_its_best() -> None:
    candidates = merge([make_recalled([0, 1], [10.0, 5.0]), make_recalled([1, 2], [0.2, 0.1])])
    (scores,) = await WeightedScorer(make_weights(1.0, 0.5)).score([make_query()], [candidates])
    assert scores.tolist() == [1.0, 0.5 + 0.5, 0.25]


def test_a_source_that_found_nothing_adds_nothing() -> None:
    parts = contributions(merge([make_recalled([]), make_recalled([1])]), np.array([1.0, 1.0]))
    assert parts.tolist() == [[0.0, 1.0]]
    assert contributions(merge([make_recalled([])]), np.array([1.0])).shape == (0, 1)


@pytest.mark.parametrize(
    ("slots", "expected"),
    [({}, [0, 1, 2]), ({1: (1,)}, [0, 8, 1]), ({1: (0, 2)}, [8, 0, 9]), ({1: (7,)}, [0, 1, 2]), ({0: (1,)}, [0, 1, 2])],
)
async def test_slots_show_a_sources_best_there_at_the_latest(
    slots: dict[int, tuple[int, ...]], expected: list[int]
) -> None:
    candidates = merge([make_recalled([0, 1, 2, 3, 4, 5, 6]), make_recalled([8, 9])])
    (rows,) = await Top(3, slots).select([make_query()], [candidates])
    assert candidates.items[rows].tolist() == expected


def test_each_reason_has_a_text_in_english_and_chinese() -> None:
    for code, texts in TEXTS.items():
        assert texts.keys() == {"en", "zh"}
        for language in ("en", "zh", "zh-CN", "fr"):
            assert "{" not in reason_text(Reason(code, "Alpha"), language)
    assert reason_text(Reason("liked_item", "Alpha", "a"), "zh_CN") == "因为你喜欢《Alpha》"
    assert reason_text(Reason("liked_item", "Alpha", "a"), "de") == "Because you liked Alpha"
    assert reason_text(Reason("unheard_of")) == ""
