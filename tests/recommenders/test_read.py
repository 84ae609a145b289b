"""What readers get: the list kept, or what stands in for it."""

import pytest
from redis.asyncio import Redis

from recommenders.read import EMPTY, Reason, read_list, read_or_fall_back
from recommenders.scenes import load_pipeline, parse_pipeline
from recommenders.tenant import TenantSettings, TenantState
from schemas.keys import KeySpace
from streams.features.model import DAY_MS
from tests.factories import NOON
from tests.recommenders.factories import HOME, SLOTS, make_event, no_mix

pytestmark = pytest.mark.stack


def make_state(tenant: str) -> TenantState:
    return TenantState(tenant, TenantSettings(), no_mix, lambda: NOON)


async def write_list(redis: Redis, tenant: str, *items: str, scenario: str = "game") -> None:
    """One user liked these in order, so u2, who likes the first, gets the others."""
    state = make_state(tenant)
    for offset, item in enumerate((*items, items[0])):
        user = "u1" if offset < len(items) else "u2"
        event = make_event(
            tenant_id=tenant, user_id=user, item_id=item, offset=offset, category="slots", scenario_id=scenario
        )
        state.fold(event)
        state.queue(event, offset)
    assert await state.renew(redis) > 0


async def test_a_list_reads_as_it_was_written(redis_client: Redis, tenant: str) -> None:
    await redis_client.hset(KeySpace(tenant).key("item", "a"), mapping={"name": "Alpha"})
    await write_list(redis_client, tenant, "a", "b", "c")
    stored = await read_list(redis_client, KeySpace(tenant), "u2", "slots")
    assert stored is not None
    assert stored.items == ("b", "c")
    assert stored.scores[0] == 1.0
    assert stored.sources == ("item_cf", "item_cf")
    assert stored.reasons == (Reason("liked_item", "Alpha", "a"),) * 2
    assert (stored.strategy, stored.model_version, stored.computed_at) == ("personal", "item-cf-seq-1", NOON)


async def test_an_item_of_two_sources_names_both_the_stronger_first(redis_client: Redis, tenant: str) -> None:
    await redis_client.zadd(KeySpace(tenant).key("hot:global"), {"b": 1.0, "h": 0.5})
    await write_list(redis_client, tenant, "a", "b")
    stored = await read_list(redis_client, KeySpace(tenant), "u2", "home")
    assert stored is not None
    assert dict(zip(stored.items, stored.sources, strict=True)) == {"b": "item_cf+hot", "h": "hot"}


async def test_an_inactive_item_is_not_listed(redis_client: Redis, tenant: str) -> None:
    await redis_client.hset(KeySpace(tenant).key("item", "b"), mapping={"is_active": "0"})
    await write_list(redis_client, tenant, "a", "b", "c")
    stored = await read_list(redis_client, KeySpace(tenant), "u2", "home")
    assert stored is not None
    assert stored.items == ("c",)


async def test_another_tenants_list_is_not_read(redis_client: Redis, tenant: str) -> None:
    await write_list(redis_client, tenant, "a", "b")
    assert await read_list(redis_client, KeySpace(f"{tenant}-2"), "u2", "home") is None


async def test_a_list_without_its_meta_is_not_a_list(redis_client: Redis, tenant: str) -> None:
    keys = KeySpace(tenant)
    await write_list(redis_client, tenant, "a", "b")
    await redis_client.hset(keys.key("rec:meta", "u2", "home"), "scores", "[1.0, 2.0]")
    assert await read_list(redis_client, keys, "u2", "home") is None


async def test_the_fallbacks_come_in_their_order(redis_client: Redis, tenant: str) -> None:
    keys, pipeline = KeySpace(tenant), load_pipeline(tenant)
    assert await read_or_fall_back(redis_client, keys, pipeline, "u2", HOME) == EMPTY
    await redis_client.zadd(keys.key("hot:global"), {"g": 4.0, "h": 1.0})
    stored = await read_or_fall_back(redis_client, keys, pipeline, "u2", HOME)
    assert (stored.items, stored.scores, stored.strategy) == (("g", "h"), (1.0, 0.25), "hot_global")
    await write_list(redis_client, tenant, "a", "b")
    assert (await read_or_fall_back(redis_client, keys, pipeline, "u2", HOME)).strategy == "personal"


async def test_a_scene_falls_back_to_its_own_categories_and_to_no_others(redis_client: Redis, tenant: str) -> None:
    keys, pipeline = KeySpace(tenant), load_pipeline(tenant)
    await redis_client.zadd(keys.key("hot:global"), {"g": 4.0})
    assert await read_or_fall_back(redis_client, keys, pipeline, "u", SLOTS) == EMPTY
    await redis_client.zadd(keys.key("hot:category", "slots"), {"s": 4.0})
    stored = await read_or_fall_back(redis_client, keys, pipeline, "u", SLOTS)
    assert (stored.items, stored.reasons) == (("s",), (Reason("hot_category", "slots"),))


async def test_of_several_categories_a_quiet_one_stands_behind(redis_client: Redis, tenant: str) -> None:
    text = """
        default_scene: lobby
        scenes: [{name: lobby, scenarios: [game], categories: [quiet, lively]}]
        sources: [{part: hot, quota: 10}]
        selector: {part: top}
    """
    keys, pipeline = KeySpace(tenant), parse_pipeline(text, name="test")
    for category, scores, latest in (
        ("quiet", {"q1": 800, "q2": 400}, NOON - 3 * DAY_MS),
        ("lively", {"l1": 1, "l2": 0.5}, NOON),
    ):
        await redis_client.zadd(keys.key("hot:category", category), scores)
        await redis_client.hset(keys.key("hot:landmarks"), f"hot:category:{category}", f"0:{DAY_MS}:{latest}")
    stored = await read_or_fall_back(redis_client, keys, pipeline, "u", pipeline.scenes[0])
    assert dict(zip(stored.items, stored.scores, strict=True)) == {"l1": 1.0, "l2": 0.5, "q1": 0.125, "q2": 0.0625}


async def test_a_scenarios_hot_list_goes_before_the_tenants_and_the_configured_items_come_last(
    redis_client: Redis, tenant: str
) -> None:
    text = """
        default_scene: feed
        scenes: [{name: feed, scenarios: [vlog_feed]}]
        sources: [{part: hot, quota: 10}]
        selector: {part: top}
        configured_items: [x, y]
    """
    keys, pipeline = KeySpace(tenant), parse_pipeline(text, name="test")
    scene = pipeline.scenes[0]
    configured = await read_or_fall_back(redis_client, keys, pipeline, "u", scene)
    assert (configured.items, configured.strategy) == (("x", "y"), "configured")
    await redis_client.zadd(keys.key("hot:global"), {"g": 4.0})
    assert (await read_or_fall_back(redis_client, keys, pipeline, "u", scene)).items == ("g",)
    await redis_client.zadd(keys.key("hot:scenario", "vlog_feed"), {"s": 1.0})
    assert (await read_or_fall_back(redis_client, keys, pipeline, "u", scene)).strategy == "hot_scenario"
