"""The catalogue over HTTP, on a real store and mirror."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis

from schemas.keys import KeySpace
from tests.ingest_api.doors import http_door

ITEM = {
    "item_id": "g/7:赢",
    "name": "Sieben",
    "category": "slots",
    "sub_category": None,
    "provider": "acme",
    "author_id": None,
    "tags": ["fun", "新"],
    "thumbnail_url": "https://img.example/7.png",
    "rtp": 96.5,
    "volatility": "high",
    "duration_s": None,
    "published_at": 1_700_000_000_000,
    "is_active": True,
    "attributes": {"lines": 20, "$a.b": {"c": [1, None]}},
}
PATH = "/api/v1/item/g%2F7%3A%E8%B5%A2"


@pytest.fixture
async def door(
    redis_client: Redis, mongo_database: AsyncDatabase[dict[str, Any]], tenant: str
) -> AsyncIterator[httpx.AsyncClient]:
    async with http_door(parts={"redis": redis_client, "mongo": mongo_database}, default_tenant=tenant) as client:
        yield client


async def test_an_item_is_in_the_store_and_in_the_mirror(
    door: httpx.AsyncClient, redis_client: Redis, tenant: str
) -> None:
    assert (await door.get(PATH)).status_code == 404
    put = await door.put(PATH, json=ITEM)
    assert put.status_code == 200
    assert put.json() == (await door.get(PATH)).json() == ITEM
    keys = KeySpace(tenant)
    mirror: dict[Any, Any] = await redis_client.hgetall(keys.key("item", "g/7:赢"))
    assert {name.decode(): value.decode() for name, value in mirror.items()} == {
        "item_id": "g/7:赢",
        "name": "Sieben",
        "category": "slots",
        "provider": "acme",
        "tags": '["fun", "新"]',
        "thumbnail_url": "https://img.example/7.png",
        "rtp": "96.5",
        "volatility": "high",
        "published_at": "1700000000000",
        "is_active": "1",
        "attributes": '{"lines": 20, "$a.b": {"c": [1, null]}}',
    }
    assert await redis_client.zscore(keys.key("items:new"), "g/7:赢") == 1_700_000_000_000


async def test_a_put_replaces_the_whole_item(door: httpx.AsyncClient, redis_client: Redis, tenant: str) -> None:
    await door.put("/api/v1/item/a", json=ITEM | {"item_id": "a"})
    await door.put("/api/v1/item/a", json={"name": "Anders", "is_active": False})
    item = (await door.get("/api/v1/item/a")).json()
    assert (item["name"], item["category"], item["tags"], item["is_active"]) == ("Anders", None, [], False)
    keys = KeySpace(tenant)
    assert await redis_client.hget(keys.key("item", "a"), "category") is None
    assert await redis_client.hget(keys.key("item", "a"), "is_active") == b"0"
    assert await redis_client.zscore(keys.key("items:new"), "a") is None


async def test_takes_iso_times(door: httpx.AsyncClient) -> None:
    for text, ms in (("2023-11-14T22:13:20", 1_700_000_000_000), ("2023-11-15T00:13:20+02:00", 1_700_000_000_000)):
        put = await door.put("/api/v1/item/a", json={"name": "A", "published_at": text})
        assert put.json()["published_at"] == ms


async def test_keeps_the_newest_of_the_new(door: httpx.AsyncClient, redis_client: Redis, tenant: str) -> None:
    for batch in range(2):
        items = [{"item_id": f"i{n}", "name": "x", "published_at": n} for n in range(batch * 600, batch * 600 + 600)]
        answer = await door.post("/api/v1/items", json={"items": items})
        assert answer.json() == {"success": True, "total": 600, "succeeded": 600, "failed": 0}
    new = await redis_client.zrange(KeySpace(tenant).key("items:new"), 0, -1)
    assert len(new) == 1000
    assert new[0] == b"i200"


async def test_a_bulk_takes_the_good_items(door: httpx.AsyncClient) -> None:
    items = [
        {"item_id": "a", "name": "A"},
        {"item_id": "b"},
        {"name": "C"},
        {"item_id": "d", "name": "D", "rtp": 101},
        {"item_id": "\x00", "name": "E"},
        "f",
    ]
    answer = (await door.post("/api/v1/items", json={"items": items})).json()
    assert (answer["total"], answer["succeeded"], answer["failed"]) == (6, 1, 5)
    named = [(line["index"], line.get("item_id")) for line in answer["errors"]]
    assert named == [(1, "b"), (2, None), (3, "d"), (4, "\x00"), (5, None)]
    assert answer["errors"][2]["errors"][0] | {"message": ""} == {"field": "rtp", "code": "out_of_range", "message": ""}
    assert answer["errors"][4]["errors"][0]["code"] == "wrong_type"


@pytest.mark.parametrize("attributes", [b'{"a": 1e999}', b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}'])
async def test_refuses_what_json_cannot_give_back(door: httpx.AsyncClient, attributes: bytes) -> None:
    body = b'{"name": "A", "attributes": %b}' % attributes
    answer = await door.put("/api/v1/item/a", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert (await door.get("/api/v1/item/a")).status_code == 404


async def test_refuses_what_is_no_item(door: httpx.AsyncClient) -> None:
    bad: list[tuple[str, str, Any]] = [
        ("PUT", "/api/v1/item/a", {}),
        ("PUT", "/api/v1/item/a", {"name": "A", "colour": "red"}),
        ("PUT", "/api/v1/item/a", {"name": "A", "item_id": "b"}),
        ("PUT", "/api/v1/item/a", {"name": "A", "is_active": "yes"}),
        ("PUT", "/api/v1/item/a", {"name": "A", "published_at": "yesterday"}),
        ("PUT", f"/api/v1/item/{'a' * 257}", {"name": "A"}),
        ("PUT", "/api/v1/item/%FF", {"name": "A"}),
        ("PUT", "/api/v1/item/%00", {"name": "A"}),
        ("POST", "/api/v1/items", {"items": []}),
        ("POST", "/api/v1/items", {"items": [{}] * 1001}),
        ("POST", "/api/v1/items", []),
    ]
    for method, path, body in bad:
        answer = await door.request(method, path, json=body)
        assert (answer.status_code, answer.json()["success"]) == (400, False), (path, body)
        assert answer.json()["errors"]


async def test_tenants_do_not_see_each_others_items(door: httpx.AsyncClient, tenant: str) -> None:
    await door.put("/api/v1/item/a", json={"name": "A"})
    assert (await door.get("/api/v1/item/a", headers={"X-Tenant-ID": f"{tenant}-2"})).status_code == 404
    assert (await door.get("/api/v1/item/a", headers={"X-Tenant-ID": "Not A Tenant"})).status_code == 400


async def test_the_store_and_the_mirror_agree_after_a_race(
    door: httpx.AsyncClient, redis_client: Redis, tenant: str
) -> None:
    await asyncio.gather(*(door.put("/api/v1/item/a", json={"name": f"n{n}"}) for n in range(30)))
    stored = (await door.get("/api/v1/item/a")).json()["name"]
    assert await redis_client.hget(KeySpace(tenant).key("item", "a"), "name") == stored.encode()


async def test_a_mirror_that_is_away_fails_the_call_and_a_repeat_mends_it(
    mongo_database: AsyncDatabase[dict[str, Any]], redis_client: Redis, tenant: str
) -> None:
    async with http_door(parts={"mongo": mongo_database}, default_tenant=tenant) as no_redis:
        answer = await no_redis.put("/api/v1/item/a", json={"name": "A"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    async with http_door(parts={"mongo": mongo_database, "redis": redis_client}, default_tenant=tenant) as whole:
        assert (await whole.put("/api/v1/item/a", json={"name": "A"})).status_code == 200
    assert await redis_client.hget(KeySpace(tenant).key("item", "a"), "name") == b"A"
