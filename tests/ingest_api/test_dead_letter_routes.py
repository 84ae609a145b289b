"""Dead letters over HTTP: what the calls take, answer and refuse."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from redis.asyncio import Redis

from infra.connections import open_clickhouse
from ingest_api.dead_letters import DeadLetters
from ingest_api.letter_store import LetterStore
from ingest_api.letters import Cursor
from streams.breaker import Reason
from streams.migrations import migrate
from streams.parking_board import RedisBoard
from tests.factories import NOON, make_body
from tests.ingest_api.doors import http_door
from tests.ingest_api.test_dead_letters import FakeSender, bad_body, insert, row
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

LETTERS = "/api/v1/dead-letters"
FIX = {"rules": [{"rename": {"uid": "user_id"}}]}


class Door:
    """A door with dead letters, and what it sent."""

    def __init__(self, http: httpx.AsyncClient, sender: FakeSender) -> None:
        self.http = http
        self.sender = sender

    async def get(self, path: str = "", status: int = 200, **params: Any) -> Any:
        answer = await self.http.get(LETTERS + path, params=params)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = await self.http.post(LETTERS + path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def door(clickhouse: AsyncClient, clickhouse_server: str, redis_client: Redis) -> AsyncIterator[Door]:
    await migrate(clickhouse)
    database = (await clickhouse.query("SELECT currentDatabase()")).result_rows[0][0]
    store = LetterStore(lambda: open_clickhouse(f"{clickhouse_server}/{database}"))
    sender = FakeSender()
    letters = DeadLetters(store, sender, Judge(ConfigRegistry()), lambda: NOON)
    async with http_door(parts={"dead_letters": letters, "redis": redis_client}) as http:
        yield Door(http, sender)
    await store.close()


async def test_lists_shows_and_replays(door: Door, clickhouse: AsyncClient) -> None:
    await insert(clickhouse, row(1), row(2, b"\xff{"), row(3, scenario_id=None), row(4, tenant="other"))
    page = await door.get(tenant="acme", limit=2)
    assert [item["offset"] for item in page["items"]] == [3, 2]
    rest = await door.get(tenant="acme", limit=2, cursor=page["next_cursor"])
    (item,) = rest["items"]
    assert item | {"errors": [], "preview": ""} == {
        "topic": "user-behaviors-acme",
        "partition": 3,
        "offset": 1,
        "timestamp": NOON + 1,
        "scenario_id": "vlog_feed",
        "config_version": 2,
        "reason_codes": ["missing"],
        "message": "user_id: user_id is required",
        "errors": [],
        "bytes": len(bad_body(event_id="e1")),
        "preview": "",
        "replayed": None,
    }
    assert item["errors"] == [{"field": "user_id", "code": "missing", "message": "user_id is required"}]
    assert page["items"][0]["scenario_id"] is None
    assert (await door.get(tenant="acme", until=str(NOON + 2)))["items"] == rest["items"]
    assert (await door.get(tenant="acme", since="2999-01-01"))["items"] == []

    shown = await door.get("/3/1", tenant="acme")
    assert (shown["encoding"], json.loads(shown["original"])["uid"]) == ("utf-8", "u1")
    shown = await door.get("/3/2", tenant="acme")
    assert (shown["encoding"], base64.b64decode(shown["original"])) == ("base64", b"\xff{")
    await door.get("/3/4", status=404, tenant="acme")

    tried = await door.post("/replay", tenant="acme", letters=["3:1"], fix=FIX, dry_run=True)
    assert (tried["selected"], tried["replayed"], door.sender.sent) == (1, 1, [])
    report = await door.post("/replay", tenant="acme", fix=FIX)
    assert {name: report[name] for name in ("selected", "replayed", "still_rejected", "skipped_already", "errors")} == {
        "selected": 3,
        "replayed": 2,
        "still_rejected": 0,
        "skipped_already": 0,
        "errors": 1,
    }
    assert door.sender.bodies() == [make_body(event_id="e1"), make_body(event_id="e3")]
    assert (await door.post("/replay", tenant="acme", fix=FIX))["skipped_already"] == 2
    assert [item["offset"] for item in (await door.get(tenant="acme", replayed="true"))["items"]] == [3, 1]


async def test_the_header_names_the_tenant_where_the_call_does_not(door: Door, clickhouse: AsyncClient) -> None:
    await insert(clickhouse, row(1))
    answer = await door.http.post(f"{LETTERS}/replay", json={"fix": FIX}, headers={"X-Tenant-ID": "acme"})
    assert answer.json()["replayed"] == 1
    assert (await door.http.get(LETTERS, headers={"X-Tenant-ID": "acme"})).json()["items"][0]["replayed"] is not None
    await door.post("/replay", status=400)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "bad_luck"}, "reason"),
        ({"since": "yesterday"}, "since"),
        ({"until": "99999-01-01"}, "until"),
        ({"letters": ["1-2"]}, "letters"),
        ({"letters": ["3:99999999999999999999"]}, "letters"),
        ({"letters": ["9999999999:1"]}, "letters"),
        ({"fix": {"rules": [{"droop": ["a"]}]}}, "fix"),
        ({"fix": {"rules": []}}, "fix"),
        ({"limit": 1001}, "limit"),
        ({"limit": "10"}, "limit"),
        ({"mapping": {}}, "mapping"),
        ({"cursor": "garbage"}, ""),
        ({"cursor": Cursor(0, "t", 0, 2**63).encode()}, ""),
        ({"tenant": "No Tenant"}, "tenant_id"),
    ],
)
async def test_refuses_an_order_that_says_something_else(door: Door, body: dict[str, Any], field: str) -> None:
    answer = await door.post("/replay", status=400, **{"tenant": "acme", **body})
    assert answer["success"] is False
    assert answer["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "params", [{"reason": "nope"}, {"limit": 201}, {"since": "x"}, {"cursor": "x"}, {"tenant": "A"}]
)
async def test_refuses_a_question_that_says_something_else(door: Door, params: dict[str, Any]) -> None:
    await door.get(status=400, **{"tenant": "acme", **params})


async def test_a_parked_tenant_is_seen_and_resumed(door: Door, redis_client: Redis, tenant: str) -> None:
    board = RedisBoard(redis_client)
    assert await door.get("/parked", tenant=tenant) == {"tenant": tenant, "is_parked": False, "reasons": {}}
    assert await board.post(tenant, "judge", Reason.RUN) is None
    waiting = {"tenant": tenant, "is_parked": True, "reasons": {"judge": "run"}}
    assert await door.get("/parked", tenant=tenant) == waiting
    assert await door.post("/resume", tenant=tenant) == waiting
    assert (await door.get("/parked", tenant=tenant))["is_parked"] is False
    first = await board.post(tenant, "judge", Reason.RUN)
    await door.post("/resume", tenant=tenant)
    assert first != await board.post(tenant, "judge", Reason.RUN)


async def test_says_come_back_while_clickhouse_or_kafka_is_away(door: Door, clickhouse: AsyncClient) -> None:
    await insert(clickhouse, row(1))
    door.sender.down = True
    answer = await door.http.post(f"{LETTERS}/replay", json={"tenant": "acme", "fix": FIX})
    assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
    store = LetterStore(lambda: open_clickhouse("http://127.0.0.1:1"))
    letters = DeadLetters(store, door.sender, Judge(ConfigRegistry()))
    async with http_door(parts={"dead_letters": letters}) as http:
        answer = await http.get(LETTERS, params={"tenant": "acme"})
        assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
        document = (await http.get("/api/v1/openapi.json")).json()
    assert f"{LETTERS}/replay" in document["paths"]
    example = document["components"]["schemas"]["ReplayBody"]["examples"][0]
    assert (await door.http.post(f"{LETTERS}/replay", json=example | {"tenant": "acme"})).status_code == 200


async def test_a_door_without_dead_letters_has_no_calls_about_them() -> None:
    async with http_door() as http:
        assert (await http.get(LETTERS)).status_code == 404
