"""A scenario's recall mix in place of the pipeline file's quotas and weights."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.roles.judging import Judging
from recommenders.candidates import Query, Result, merge
from recommenders.lists import ListWriter
from recommenders.mix import RecallMix, Share, SourceWeights, quota_of
from recommenders.reasons import Reason
from recommenders.registry import SOURCES, build_runner
from recommenders.scenes import Pipeline, SourcePart, load_pipeline
from recommenders.stores import HOT_GLOBAL, NEW_ITEMS, Stores
from schemas.erased import ErasedUsers
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.recall import RECALL_SOURCES
from tests.recommenders.factories import hold, make_mix, make_query, make_recalled, make_weights
from tests.tracking_configs.factories import make_config, make_registry
from tracking_configs.feed import ConfigFeed
from tracking_configs.judge import Judge

PIPELINE = load_pipeline("acme")
Stored = dict[str, Any]  # what is written to Redis of one list
shares = st.builds(Share, st.integers(0, 30), st.sampled_from([0.0, 0.05, 0.4, 1.0, 3.0]))
mixes = st.dictionaries(st.sampled_from([*RECALL_SOURCES, "a_source_of_tomorrow"]), shares)


def make_stores() -> Stores:
    """Items i0 to i29; everyone likes i0 to i9 in order; i5 to i19 are hot, the others new."""
    stores = Stores.empty()
    for number in range(30):
        stores.items.number(f"i{number}")
    for place in range(10):
        stores.item_cf.learn(range(place), place)
    hold(stores, HOT_GLOBAL, *(f"i{n}" for n in range(5, 20)))
    hold(stores, NEW_ITEMS, *(f"i{n}" for n in range(20, 30)))
    return stores


async def lists_of(pipeline: Pipeline, stores: Stores, *queries: Query) -> list[Stored]:
    writer = ListWriter(KeySpace("acme"), stores.items, SourceWeights(pipeline.sources))
    results = await build_runner(pipeline, stores, patience=1000).run(queries)
    assert not any(result.left_out for result in results)
    return [{"items": result.selected.items.tolist(), **writer.meta(result)} for result in results]


def with_file_saying(mix: RecallMix) -> Pipeline:
    """The built-in pipeline, its file rewritten to what the mix says."""
    sources = tuple(
        msgspec.structs.replace(source, quota=mix[source.part].quota, weight=mix[source.part].weight)
        if source.part in mix
        else source
        for source in PIPELINE.sources
    )
    return msgspec.structs.replace(PIPELINE, sources=sources)


@given(st.lists(mixes, min_size=1, max_size=4))
async def test_a_list_under_a_mix_is_that_of_a_pipeline_file_that_says_the_same(drawn: list[RecallMix]) -> None:
    stores = make_stores()
    queries = [make_query(history=(0, 1), user_id=f"u{n}", mix=mix) for n, mix in enumerate(drawn)]
    together = await lists_of(PIPELINE, stores, *queries)
    for query, stored in zip(queries, together, strict=True):
        plain = make_query(history=query.history, user_id=query.user_id)
        assert [stored] == await lists_of(with_file_saying(query.mix), stores, plain)


async def test_a_mix_that_says_what_the_file_says_changes_no_byte() -> None:
    same = {source.part: Share(source.quota, source.weight) for source in PIPELINE.sources}
    queries = [make_query(history=(0, 1), mix=mix) for mix in ({}, same)]
    without, under = await lists_of(PIPELINE, make_stores(), *queries)
    assert without == under


@pytest.mark.parametrize("off", RECALL_SOURCES)
async def test_a_source_with_quota_0_names_no_item_of_the_list(off: str) -> None:
    query = make_query(history=(0, 1), mix=make_mix(**{off: (0, 1.0)}))
    stores = make_stores()
    before, after = await lists_of(PIPELINE, stores, make_query(history=(0, 1)), query)
    assert sources_in(before) == set(RECALL_SOURCES)
    assert sources_in(after) == set(RECALL_SOURCES) - {off}


async def test_with_every_source_off_there_is_no_list() -> None:
    mix = make_mix(**dict.fromkeys(RECALL_SOURCES, (0, 1.0)))
    (result,) = await build_runner(PIPELINE, make_stores()).run([make_query(history=(0,), mix=mix)])
    assert len(result.selected) == 0


async def test_a_quota_may_be_above_the_pipeline_files() -> None:
    (small,) = (source for source in PIPELINE.sources if source.part == "hot")
    selector = msgspec.structs.replace(PIPELINE.selector, slots={})
    pipeline = msgspec.structs.replace(PIPELINE, sources=(msgspec.structs.replace(small, quota=2),), selector=selector)
    few, more = await lists_of(pipeline, make_stores(), make_query(), make_query(mix=make_mix(hot=(9, 1.0))))
    assert (len(few["items"]), len(more["items"])) == (2, 9)


async def test_a_weight_moves_its_sources_items_up() -> None:
    queries = [make_query(mix=make_mix(hot=(80, hot), new_items=(20, new))) for hot, new in ((1.0, 0.1), (0.1, 1.0))]
    hot_first, new_first = await lists_of(PIPELINE, make_stores(), *queries)
    assert hot_first["items"][0] < 20 <= new_first["items"][0]


def test_a_source_that_the_pipeline_lacks_is_ignored_and_one_not_named_is_as_the_file_says() -> None:
    hot, new = SourcePart(part="hot", quota=80, weight=0.15), SourcePart(part="new_items", quota=20, weight=0.05)
    mix = make_mix(new_items=(7, 2.0), unheard_of=(9, 9.0))
    assert [quota_of(source, mix) for source in (hot, new)] == [80, 7]
    assert SourceWeights([hot, new]).under(mix).tolist() == [0.15, 2.0]


def test_an_item_is_named_after_a_source_that_found_it_even_where_that_weighs_nothing() -> None:
    stores = make_stores()
    merged = merge([make_recalled([3]), make_recalled([4])])
    reasons = ((Reason("liked_item"),), (Reason("hot_global"),))
    result = Result(make_query(), ("s0", "s1"), reasons, merged, {}, merged, merged, ())
    meta = ListWriter(KeySpace("acme"), stores.items, make_weights(0.0, 0.0)).meta(result)
    assert msgspec.json.decode(meta["sources"]) == ["s0", "s1"]
    assert msgspec.json.decode(meta["reasons"], type=list[Reason]) == [Reason("liked_item"), Reason("hot_global")]


def test_a_process_knows_the_mix_of_the_config_in_force_and_of_no_other_tenant_or_scenario() -> None:
    mix = {"hot": {"quota": 0}, "new_items": {"quota": 50, "weight": 0.5}}
    registry = make_registry(make_config(recall_mix=mix))
    judging = Judging(registry, ConfigFeed(registry, KafkaDsn.parse("127.0.0.1:1")), Judge(registry), ErasedUsers())
    assert judging.recall_mix("acme", "feed") == make_mix(hot=(0, 1.0), new_items=(50, 0.5))
    assert judging.recall_mix("zeta", "feed") == judging.recall_mix("acme", "wall") == {}
    registry.apply(make_config(version=2))
    assert judging.recall_mix("acme", "feed") == {}


def test_a_config_may_name_the_sources_that_there_are() -> None:
    assert set(RECALL_SOURCES) == SOURCES.keys()


def sources_in(stored: Stored) -> set[str]:
    names = msgspec.json.decode(stored["sources"], type=list[str])
    return set(itertools.chain.from_iterable(name.split("+") for name in names))
