"""Recommendations over HTTP, on a real Redis."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from schemas.keys import KeySpace
from tests.factories import NOON
from tests.ingest_api.doors import http_door

GAMES = "/api/v1/recommend/games"


@pytest.fixture
async def door(redis_client: Redis, tenant: str) -> AsyncIterator[httpx.AsyncClient]:
    async with http_door(parts={"redis": redis_client}, default_tenant=tenant) as client:
        yield client


@pytest.fixture
def keys(tenant: str) -> KeySpace:
    return KeySpace(tenant)


async def keep_list(
    redis: Redis, keys: KeySpace, items: Sequence[str], *, user: str = "u1", scene: str = "home"
) -> None:
    """As the worker writes it."""
    await redis.rpush(keys.key("rec:cache", user, scene), *items)
    meta: dict[Any, Any] = {
        "scores": json.dumps([1 - n / 100 for n in range(len(items))]),
        "sources": json.dumps(["item_cf"] * len(items)),
        "reasons": json.dumps([["liked_item", "Seven", "g7"]] * len(items)),
        "strategy": "personal",
        "model_version": "item-cf-seq-1",
        "computed_at": "1760000000000",
    }
    await redis.hset(keys.key("rec:meta", user, scene), mapping=meta)


async def games(door: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await door.get(GAMES, params={"user_id": "u1"} | parameters)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["code"], answer.json()["message"]) == (0, "success")
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_answers_the_kept_list_with_what_the_catalogue_knows(
    door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace
) -> None:
    await keep_list(redis_client, keys, ["a", "b"])
    mirror: dict[Any, Any] = {
        "name": "Alpha",
        "category": "slots",
        "provider": "acme",
        "rtp": "96.5",
        "is_active": "1",
        "tags": "[]",
    }
    await redis_client.hset(keys.key("item", "a"), mapping=mirror)
    data = await games(door, language_code="zh-CN")
    assert data["strategy"] == "personal"
    assert (data["total"], data["has_more"]) == (2, False)
    assert data["request_id"].startswith("req_")
    assert data["games"][0] == {
        "game_id": "a",
        "game_name": "Alpha",
        "category": "slots",
        "sub_category": None,
        "provider": "acme",
        "thumbnail_url": None,
        "rtp": 96.5,
        "volatility": None,
        "score": 1.0,
        "recall_source": "item_cf",
        "reason": "因为你喜欢《Seven》",
    }
    assert data["games"][1]["game_name"] is None


async def test_a_request_id_pages_through_one_list_whatever_happens_meanwhile(
    door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace
) -> None:
    wanted = [f"g{n}" for n in range(100)]
    await keep_list(redis_client, keys, wanted)
    first = await games(door, page_size=30)
    await redis_client.delete(keys.key("rec:cache", "u1", "home"))
    await keep_list(redis_client, keys, ["other"])
    pages = [first] + [await games(door, page=n, page_size=30, request_id=first["request_id"]) for n in (2, 3, 4, 5)]
    shown = [game["game_id"] for page in pages for game in page["games"]]
    assert shown == wanted
    assert [page["has_more"] for page in pages] == [True, True, True, False, False]
    assert {page["total"] for page in pages} == {100}
    assert (await games(door))["games"][0]["game_id"] == "other"


async def test_a_request_id_is_its_users_alone(door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace) -> None:
    await keep_list(redis_client, keys, ["a"])
    await keep_list(redis_client, keys, ["b"], user="u2")
    first = await games(door)
    other = await games(door, user_id="u2", request_id=first["request_id"])
    assert [game["game_id"] for game in other["games"]] == ["b"]


async def test_leaves_out_what_is_inactive_or_played(
    door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace
) -> None:
    await keep_list(redis_client, keys, ["a", "b", "c", "d"])
    await redis_client.hset(keys.key("item", "b"), "is_active", "0")
    recent = [json.dumps([item, action, 1]) for item, action in (("c", "play"), ("d", "impression"))]
    await redis_client.lpush(keys.key("user:recent", "u1"), *recent)
    assert [game["game_id"] for game in (await games(door))["games"]] == ["a", "d"]
    kept = await games(door, exclude_played="false")
    assert [game["game_id"] for game in kept["games"]] == ["a", "c", "d"]


async def test_falls_back_to_hot_lists_and_says_so(
    door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace
) -> None:
    assert (await games(door))["strategy"] == "empty"
    await redis_client.zadd(keys.key("hot:global"), {"x": 5, "y": 9})
    home = await games(door)
    assert (home["strategy"], [game["game_id"] for game in home["games"]]) == ("hot_global", ["y", "x"])
    await redis_client.zadd(keys.key("hot:category", "slots"), {"s": 1})
    slots = await games(door, scene="slots")
    assert (slots["strategy"], [game["game_id"] for game in slots["games"]]) == ("hot_category", ["s"])


async def test_similar_games_need_a_game(door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace) -> None:
    await redis_client.hset(keys.key("game:sim", "a"), mapping={"b": "0.2", "c": "0.9", "a": "1"})
    await redis_client.hset(keys.key("item", "a"), mapping={"name": "Alpha"})
    data = await games(door, scene="similar", game_id="a")
    assert [(game["game_id"], game["reason"]) for game in data["games"]] == [
        ("c", "Similar to Alpha"),
        ("b", "Similar to Alpha"),
    ]
    refused = await door.get(GAMES, params={"user_id": "u1", "scene": "similar"})
    assert (refused.status_code, refused.json()["code"]) == (400, 20003)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"scene": "cellar"}, 20002),
        ({"user_id": ""}, 20001),
        ({"page_size": 51}, 20001),
        ({"page": 0}, 20001),
        ({"page": "many"}, 20001),
        ({"tenant_id": "Not A Tenant"}, 20004),
    ],
)
async def test_refuses_with_a_business_code(door: httpx.AsyncClient, parameters: dict[str, Any], code: int) -> None:
    answer = await door.get(GAMES, params={"user_id": "u1"} | parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["data"] is None
    assert answer.json()["trace_id"] == answer.headers["x-trace-id"]


async def test_the_post_form(door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace, tenant: str) -> None:
    await keep_list(redis_client, keys, ["a", "b", "c", "d", "e"])
    body = {"tenant_id": tenant, "user_id": "u1", "scene": "home", "size": 2, "exclude": ["a"], "seen_ids": ["c"]}
    answer = (await door.post("/api/v1/recommend", json=body | {"debug": True})).json()
    assert answer["code"] == 0
    assert [item["item_id"] for item in answer["data"]["items"]] == ["b", "d"]
    assert answer["data"]["strategy"] == "personal"
    assert answer["data"]["debug"]["removed"]["excluded"] == 2
    served = {"served_ids": ["b", "d"], "request_id": answer["data"]["request_id"]}
    more = (await door.post("/api/v1/recommend", json=body | served)).json()
    assert [item["item_id"] for item in more["data"]["items"]] == ["e"]
    assert more["data"]["request_id"] == answer["data"]["request_id"]


async def hot(door: httpx.AsyncClient, scenario: str, **parameters: Any) -> dict[str, Any]:
    answer = await door.get(f"/api/v1/hot/{scenario}", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (200, 0), answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def hold(redis: Redis, keys: KeySpace, name: str, half_life_ms: int, scores: dict[str, float]) -> None:
    """A hot list as the stream writes it, with the heat that its items have now."""
    record: dict[Any, Any] = {name.removeprefix(keys.prefix): f"{NOON - half_life_ms}:{half_life_ms}:{NOON}"}
    await redis.hset(keys.key("hot:landmarks"), mapping=record)
    await redis.zadd(name, {item: 2 * heat for item, heat in scores.items()})


async def test_a_hot_list(door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace) -> None:
    await hold(redis_client, keys, keys.key("hot:scenario", "vlog/feed"), 1000, {"x": 5, "y": 9, "z": 1})
    await redis_client.hset(keys.key("item", "x"), "is_active", "0")
    await redis_client.hset(keys.key("item", "y"), mapping={"name": "Yes", "category": "slots"})
    data = await hot(door, "vlog%2Ffeed", limit=2)
    assert data["as_of"] == NOON
    assert [(item["item_id"], item["score"]) for item in data["items"]] == [("y", 9.0), ("z", 1.0)]
    assert (data["items"][0]["name"], data["items"][0]["category"]) == ("Yes", "slots")
    assert [item["item_id"] for item in (await hot(door, "vlog%2Ffeed", size=1))["items"]] == ["y"]


async def test_the_tenants_hot_list_and_a_categorys(
    door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace
) -> None:
    await hold(redis_client, keys, keys.key("hot:global"), 1000, {"x": 5, "y": 9})
    await hold(redis_client, keys, keys.key("hot:category", "slots"), 1000, {"s": 3})
    await hold(redis_client, keys, keys.key("hot:scenario", "feed"), 1000, {"x": 2, "y": 1, "s": 0.5})
    await redis_client.hset(keys.key("item", "y"), "category", "slots")
    assert [item["item_id"] for item in (await hot(door, "global"))["items"]] == ["y", "x"]
    of_category = (await hot(door, "global", category="slots"))["items"]
    assert [(item["item_id"], item["reason"]) for item in of_category] == [("s", "Popular in slots")]
    by_catalogue_and_by_event = (await hot(door, "feed", category="slots"))["items"]
    assert [item["item_id"] for item in by_catalogue_and_by_event] == ["y", "s"]


@pytest.mark.parametrize(("scenario", "ids"), [("global", ()), ("feed", ("feed",))])
async def test_what_rises(
    door: httpx.AsyncClient, redis_client: Redis, keys: KeySpace, scenario: str, ids: tuple[str, ...]
) -> None:
    kind = "hot:global" if scenario == "global" else "hot:scenario"
    await hold(redis_client, keys, keys.key(kind, *ids), 8000, {"new": 90, "old": 970, "other": 100})
    await hold(redis_client, keys, keys.key(f"{kind}_short", *ids), 1000, {"new": 60, "old": 100, "other": 50})
    await redis_client.hset(keys.key("item", "other"), "category", "slots")
    data = await hot(door, scenario, kind="rising", language_code="zh")
    assert [(item["item_id"], item["score"]) for item in data["items"]] == [("new", 4.0), ("other", 400 / 130)]
    assert (data["items"][0]["recall_source"], data["items"][0]["reason"]) == ("rising", "正在上升")
    of_category = await hot(door, scenario, kind="rising", category="slots")
    assert [item["item_id"] for item in of_category["items"]] == ["other"]


@pytest.mark.parametrize("kind", ["hot", "rising"])
async def test_an_unknown_scenario_has_an_empty_hot_list(door: httpx.AsyncClient, kind: str) -> None:
    assert await hot(door, "nowhere", kind=kind) == {"items": [], "as_of": NOON}


@pytest.mark.parametrize("parameters", [{"kind": "cold"}, {"limit": 0}, {"limit": 101}, {"category": ""}])
async def test_a_hot_list_that_cannot_be_asked_for(door: httpx.AsyncClient, parameters: dict[str, Any]) -> None:
    answer = await door.get("/api/v1/hot/feed", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, 20001)


async def test_without_redis_no_hot_list_is_known() -> None:
    async with http_door(default_tenant="acme") as door:
        answer = await door.get("/api/v1/hot/feed")
    assert (answer.status_code, answer.json()["code"]) == (503, 10003)


async def test_without_redis_there_is_no_answer_but_the_configured(tmp_path: Any) -> None:
    async with http_door(default_tenant="acme") as door:
        answer = await door.get(GAMES, params={"user_id": "u1"})
    assert (answer.status_code, answer.json()["code"]) == (503, 10003)
    assert answer.headers["retry-after"]
    (tmp_path / "acme.yaml").write_text(
        "default_scene: home\n"
        'scenes: [{name: home, scenarios: ["*"]}]\n'
        "sources: []\n"
        "selector: {part: top}\n"
        "configured_items: [a, b]\n"
    )
    async with http_door(default_tenant="acme", pipelines_dir=tmp_path) as door:
        data = await games(door)
    assert (data["strategy"], [game["game_id"] for game in data["games"]]) == ("configured", ["a", "b"])
    assert data["games"][0]["reason"] == "Our selection"
