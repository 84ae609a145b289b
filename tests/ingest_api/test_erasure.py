"""A user forgotten on real servers: all of theirs goes, nothing of anybody else's."""

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis

from infra.connections import open_clickhouse
from infra.errors import SettingsError
from infra.settings import load_settings
from ingest_api import erased_keys
from ingest_api.deps import DoorSettings, HttpDeps
from ingest_api.erased_keys import DAY_MS
from ingest_api.erased_rows import ROWS_OF_USER, ErasedRows
from ingest_api.erasure import Erasure, ErasureUnfinished
from ingest_api.erasure_key import COLLECTION
from ingest_api.erasure_receipt import Receipt, user_hash, verify_receipt
from ingest_api.http.app import create_app
from schemas.event import Event
from schemas.keys import KINDS, KeySpace
from streams.features.model import HeatCap
from streams.migrations import migrate
from streams.rows import (
    EVENT_COLUMNS,
    REJECTED_BEHAVIORS,
    REJECTED_COLUMNS,
    USER_BEHAVIORS,
    event_columns,
)
from tests.factories import NOON, make_body, make_event
from tests.ingest_api.doors import make_door_deps
from tracking_configs.errors import EventsUnavailableError

KEY = b"a key of the tests alone"
ODD = "u/1:赢 %3A\t'\\n\"*?[x]"
DAY = NOON // DAY_MS


class FailingRows(ErasedRows):
    """Deletes of the first table, and then dies, the first time."""

    def __init__(self, open_store: Callable[[], Any]) -> None:
        super().__init__(open_store)
        self.failures = 1

    async def _erase(self, table: str, where: str, parameters: dict[str, Any]) -> int:
        if self.failures and table != USER_BEHAVIORS:
            self.failures -= 1
            raise EventsUnavailableError("ClickHouse", "gone")
        return await super()._erase(table, where, parameters)


@dataclass
class Stores:
    """The three stores, and everything that may be there of a user."""

    redis: Redis
    mongo: AsyncDatabase[dict[str, Any]]
    clickhouse: AsyncClient
    open_clickhouse: Callable[[], Any]

    def erasure(self, rows: ErasedRows, key: bytes | None = KEY, **stores: Any) -> Erasure:
        given: dict[str, Any] = {"database": self.mongo, "redis": self.redis} | stores
        return Erasure(rows=rows, settings=DoorSettings(), key=key, clock=lambda: NOON, **given)

    async def fill(self, tenant: str, user: str) -> None:
        await self._fill_redis(KeySpace(tenant), user)
        await self.mongo["users"].insert_one({"_id": f"{tenant}/{user}", "level": 3})
        await self._fill_clickhouse(tenant, user)

    async def _fill_redis(self, keys: KeySpace, user: str) -> None:
        for kind, arity in KINDS.items():
            if kind.startswith("user:") and arity == 1:
                await self.redis.set(keys.key(kind, user), "x")
        for kind, scene in (("rec:cache", "home"), ("rec:meta", "home"), ("rec:cache", "slots")):
            await self.redis.set(keys.key(kind, user, scene), "x")
        for day in (DAY, DAY - 1, 10957, DAY + 1):
            await self.redis.set(keys.key("user:heat", user, str(day)), "x")

    async def _fill_clickhouse(self, tenant: str, user: str) -> None:
        events = [stored(tenant, user, number) for number in range(3)]
        await self.clickhouse.insert(USER_BEHAVIORS, event_columns(events), list(EVENT_COLUMNS), column_oriented=True)
        letters = [letter(tenant, user, offset) for offset in range(2)]
        await self.clickhouse.insert(REJECTED_BEHAVIORS, letters, REJECTED_COLUMNS)
        for table, when in (("sessions", "started_at"), ("recommendation_log", "timestamp")):
            columns = ["tenant_id", "user_id", when, "session_id" if table == "sessions" else "request_id"]
            await self.clickhouse.insert(table, [(tenant, user, moment(), f"{user}-1")], columns)

    async def left(self, tenant: str, user: str) -> dict[str, int]:
        """What there is of the user, counted without the code under test."""
        encoded = user.replace("%", "%25").replace(":", "%3A")
        names = [name.decode() async for name in self.redis.scan_iter(match=f"{tenant}:*", count=1000)]
        found = {
            "redis": sum(encoded in name.split(":") for name in names),
            "mongo": await self.mongo["users"].count_documents({"_id": f"{tenant}/{user}"}),
        }
        for table in ROWS_OF_USER:
            column = "base64Decode(original)" if table == REJECTED_BEHAVIORS else "user_id"
            answer = await self.clickhouse.query(
                f"SELECT {column} FROM {table} WHERE tenant_id = {{tenant:String}}", parameters={"tenant": tenant}
            )
            values = [value for (value,) in answer.result_rows]
            found[table] = sum(owner(value, table) == user for value in values)
        return found


WHOLE = {
    "redis": 14,
    "mongo": 1,
    "user_behaviors": 3,
    "user_days": 1,
    "sessions": 1,
    "recommendation_log": 1,
    "rejected_behaviors": 2,
}
NOTHING = dict.fromkeys(WHOLE, 0)
ERASED = {
    "clickhouse_user_behaviors": 3,
    "clickhouse_user_days": 1,
    "clickhouse_sessions": 1,
    "clickhouse_recommendation_log": 1,
    "clickhouse_rejected_behaviors": 2,
    "mongo_users": 1,
    "redis_keys": 14,
    "redis_sessions_open": 0,
    "redis_sessions_ended": 0,
}


def stored(tenant: str, user: str, number: int) -> Event:
    return make_event(tenant_id=tenant, user_id=user, event_id=f"{user}-{number}", offset=number)


def letter(tenant: str, user: str, offset: int) -> tuple[Any, ...]:
    original = base64.b64encode(msgspec.json.encode(make_body(user_id=user, action_type=7))).decode()
    why: tuple[Any, ...] = (["wrong_type"], ["action_type"], [], "action_type: not a string")
    place = (f"user-behaviors-{tenant}", zlib.crc32(user.encode()) >> 1, offset)
    return (tenant, "", 0, moment(), *why, original, *place)


def owner(value: str, table: str) -> Any:
    return msgspec.json.decode(value)["user_id"] if table == REJECTED_BEHAVIORS else value


def moment() -> datetime:
    return datetime.fromtimestamp(NOON / 1000, UTC)


@pytest.fixture
async def stores(
    redis_client: Redis, mongo_database: AsyncDatabase[dict[str, Any]], clickhouse: AsyncClient, clickhouse_server: str
) -> Stores:
    await migrate(clickhouse)
    database = (await clickhouse.query("SELECT currentDatabase()")).result_rows[0][0]
    return Stores(redis_client, mongo_database, clickhouse, lambda: open_clickhouse(f"{clickhouse_server}/{database}"))


@pytest.fixture
async def rows(stores: Stores) -> AsyncIterator[ErasedRows]:
    rows = ErasedRows(stores.open_clickhouse)
    yield rows
    await rows.close()


def door(erasure: Erasure, tenant: str | None = None) -> httpx.AsyncClient:
    nowhere: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("mongodb://127.0.0.1:1")
    rest: dict[str, Any] = {"config_service": None, "config_insights": None, "mongo": nowhere["millrace"]}
    deps = HttpDeps(**vars(make_door_deps(default_tenant=tenant)) | rest | {"redis": Redis(port=1)})
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(deps, erasure)), base_url="http://door")


@pytest.mark.parametrize("user", ["u1", ODD])
async def test_all_of_the_user_goes_and_nothing_of_others(
    stores: Stores, rows: ErasedRows, tenant: str, user: str
) -> None:
    others = [(tenant, "u2"), (tenant, f"{user}0"), (f"{tenant}-2", user)]
    for place in [(tenant, user), *others]:
        await stores.fill(*place)
        assert await stores.left(*place) == WHOLE
    receipt = await stores.erasure(rows).erase(tenant, user)
    assert receipt.erased == ERASED
    assert await stores.left(tenant, user) == NOTHING
    for place in others:
        assert await stores.left(*place) == WHOLE


async def test_a_letter_whose_user_is_a_number_goes_too(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    numbered = list(letter(tenant, "", 0))
    numbered[REJECTED_COLUMNS.index("original")] = base64.b64encode(b'{"user_id": 57}').decode()
    broken = list(letter(tenant, "", 1))
    broken[REJECTED_COLUMNS.index("original")] = base64.b64encode(b'\xff{"user_id": 5').decode()
    await stores.clickhouse.insert(REJECTED_BEHAVIORS, [numbered, broken], REJECTED_COLUMNS)
    erasure = stores.erasure(rows)
    assert (await erasure.erase(tenant, "5")).erased["clickhouse_rejected_behaviors"] == 0
    assert (await erasure.erase(tenant, "57")).erased["clickhouse_rejected_behaviors"] == 1


async def test_erasing_again_finds_nothing_and_is_receipted(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    await stores.fill(tenant, "u1")
    erasure = stores.erasure(rows)
    first, again = await erasure.erase(tenant, "u1"), await erasure.erase(tenant, "u1")
    assert again.erased == dict.fromkeys(ERASED, 0)
    assert (first.user, verify_receipt(again, KEY)) == (again.user, True)


async def test_a_crash_in_the_middle_is_finished_by_calling_again(stores: Stores, tenant: str) -> None:
    await stores.fill(tenant, "u1")
    failing = FailingRows(stores.open_clickhouse)
    erasure = stores.erasure(failing)
    with pytest.raises(ErasureUnfinished, match="ClickHouse") as stopped:
        await erasure.erase(tenant, "u1")
    assert stopped.value.done == {name: ERASED[name] for name in ERASED if name.startswith(("mongo", "redis"))}
    assert await stores.left(tenant, "u1") == NOTHING | {
        name: count for name, count in WHOLE.items() if name in ROWS_OF_USER and name != USER_BEHAVIORS
    }
    (note,) = await stores.mongo[COLLECTION].find({"tenant_id": tenant}).to_list()
    assert note["state"] == "running"
    receipt = await erasure.erase(tenant, "u1")
    assert await stores.left(tenant, "u1") == NOTHING
    assert receipt.erased == ERASED | {"clickhouse_user_behaviors": 0}  # its count was lost with the crash
    await failing.close()


async def test_the_note_does_not_hold_the_id(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    await stores.erasure(rows).erase(tenant, "somebody@example.org")
    (note,) = await stores.mongo[COLLECTION].find({"tenant_id": tenant}).to_list()
    assert "somebody" not in str(note)
    assert note["user"] == user_hash(KEY, tenant, "somebody@example.org")
    assert user_hash(KEY, tenant, "u1") != user_hash(KEY, f"{tenant}-2", "u1")


async def test_a_receipt_verifies_and_a_changed_one_does_not(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    async with door(stores.erasure(rows), tenant) as http:
        answer = await http.delete("/api/v1/user/nobody")
    assert answer.status_code == 200
    receipt = msgspec.json.decode(answer.content, type=Receipt)
    assert set(receipt.erased.values()) == {0}
    assert verify_receipt(receipt, KEY)
    assert not verify_receipt(receipt, b"another key")
    changes: list[dict[str, Any]] = [{"finished_at": 0}, {"erased": {}}, {"user": "0" * 64}, {"signature": ""}]
    for change in changes:
        assert not verify_receipt(msgspec.structs.replace(receipt, **change), KEY)


async def test_without_a_setting_one_key_is_made_and_kept(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    receipts = [await stores.erasure(rows, None).erase(tenant, "u1") for _ in range(2)]
    kept = await stores.mongo[COLLECTION].find_one({"_id": "key"})
    assert kept is not None
    assert all(verify_receipt(receipt, bytes.fromhex(kept["key"])) for receipt in receipts)
    assert receipts[0].key_id == receipts[1].key_id


async def test_calls_at_once_make_one_key_and_forget_the_user(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    await stores.fill(tenant, "u1")
    erasures = [stores.erasure(rows, None) for _ in range(6)]
    answers = await asyncio.gather(*(each.erase(tenant, "u1") for each in erasures), return_exceptions=True)
    assert all(isinstance(answer, Receipt | ErasureUnfinished) for answer in answers), answers
    receipt = await erasures[0].erase(tenant, "u1")
    assert {answer.key_id for answer in answers if isinstance(answer, Receipt)} <= {receipt.key_id}
    assert await stores.left(tenant, "u1") == NOTHING


async def test_the_header_names_the_tenant(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    await stores.fill(tenant, "a/b")
    async with door(stores.erasure(rows)) as http:
        assert (await http.delete("/api/v1/user/a%2Fb")).status_code == 400
        answer = await http.delete("/api/v1/user/a%2Fb", headers={"X-Tenant-ID": tenant})
    assert (answer.status_code, answer.json()["erased"]) == (200, ERASED)


async def test_a_store_that_is_away_is_a_503_that_says_what_was_done(
    stores: Stores, rows: ErasedRows, tenant: str
) -> None:
    await stores.fill(tenant, "u1")
    async with door(stores.erasure(rows, redis=Redis(port=1)), tenant) as http:
        answer = await http.delete("/api/v1/user/u1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "Redis" in answer.json()["message"]
    assert "clickhouse_user_behaviors 3" in answer.json()["message"]
    assert await stores.left(tenant, "u1") == NOTHING | {"redis": 14}
    assert (await stores.erasure(rows).erase(tenant, "u1")).erased == ERASED


async def test_nothing_is_deleted_that_could_not_be_noted(stores: Stores, rows: ErasedRows, tenant: str) -> None:
    await stores.fill(tenant, "u1")
    away: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    async with door(stores.erasure(rows, database=away["millrace"]), tenant) as http:
        answer = await http.delete("/api/v1/user/u1")
    assert answer.status_code == 503
    assert "nothing" in answer.json()["message"]
    assert await stores.left(tenant, "u1") == WHOLE
    await away.close()


async def test_ids_that_cannot_be_are_refused_and_openapi_shows_the_call() -> None:
    nowhere: Any = AsyncMongoClient("mongodb://127.0.0.1:1")["millrace"]
    erasure = Erasure(nowhere, Redis(port=1), ErasedRows(lambda: open_clickhouse("http://127.0.0.1:1")), DoorSettings())
    async with door(erasure, "acme") as http:
        for path in ("/api/v1/user/", f"/api/v1/user/{'a' * 257}"):
            answer = await http.delete(path)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "user_id")
        assert (await http.delete("/api/v1/user/a", headers={"X-Tenant-ID": "No Tenant"})).status_code == 400
        document = (await http.get("/api/v1/openapi.json")).json()
    call = document["paths"]["/api/v1/user/{user_id}"]["delete"]
    assert (call["tags"], set(call["responses"])) == (["erasure"], {"200", "400", "500", "503"})
    assert call["summary"]
    example = call["responses"]["200"]["content"]["application/json"]["example"]
    assert msgspec.convert(example, Receipt).tenant_id == "acme"
    assert "Receipt" in document["components"]["schemas"]


def test_the_key_is_a_secret_and_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ERASURE_KEY", "a-s3cret-of-16-characters")
    settings = load_settings()
    assert "s3cret" not in repr(settings) + str(settings.shown())
    monkeypatch.setenv("MILLRACE_ERASURE_KEY", "s3cret")
    with pytest.raises(SettingsError, match="MILLRACE_ERASURE_KEY") as short:
        load_settings()
    assert "s3cret" not in str(short.value)


def test_every_kind_of_key_is_known_to_hold_a_user_or_not() -> None:
    """A new kind of key fails here until it stands in the one list of `ingest_api.erased_keys` where it belongs."""
    arities = {
        erased_keys.OF_USER: 1,
        erased_keys.OF_USER_AND_SCENE: 2,
        erased_keys.OF_USER_AND_DAY: 2,
        erased_keys.USERS_AS_MEMBERS: 1,
        erased_keys.USERS_IN_ENTRIES: 1,
        tuple(erased_keys.OF_NO_USER): None,
    }
    listed = [kind for kinds in arities for kind in kinds]
    assert sorted(listed) == sorted(KINDS)
    assert all(KINDS[kind] == arity for kinds, arity in arities.items() if arity for kind in kinds)
    assert not [kind for kind in erased_keys.OF_NO_USER if kind.startswith("user:")]
    assert HeatCap().window_ms == DAY_MS


async def test_every_table_that_names_users_is_erased_from(stores: Stores) -> None:
    query = """
        SELECT DISTINCT table FROM system.columns WHERE database = currentDatabase() AND name LIKE '%user%'
        AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%View')
    """
    found = {name for (name,) in (await stores.clickhouse.query(query)).result_rows}
    assert found == ROWS_OF_USER.keys() - {REJECTED_BEHAVIORS}  # whose originals name theirs


async def test_open_and_ended_sessions_and_the_shadow_forget_the_user(
    stores: Stores, rows: ErasedRows, tenant: str
) -> None:
    redis = stores.redis
    for keys in (KeySpace(tenant), KeySpace(tenant, shadow=True)):
        await redis.hset(keys.key("watermarks"), mapping={"0": "1", "11": "1"})
        for partition in ("0", "11"):
            await redis.zadd(keys.key("sessions:open", partition), {"u1": 1, "u10": 1})
            for user in ("u1", "u10", "u1"):
                entry = msgspec.msgpack.encode([user, "events", "1"])
                await redis.xadd(keys.key("sessions:outbox", partition), {"session": entry})
            await redis.xadd(keys.key("sessions:outbox", partition), {"session": b"\xc1"})
        await redis.set(keys.key("user:recent", "u1"), "x")
        await redis.set(keys.key("user:recent", "u10"), "x")
    receipt = await stores.erasure(rows).erase(tenant, "u1")
    counts = {name: count for name, count in receipt.erased.items() if name.startswith("redis")}
    assert counts == {"redis_keys": 2, "redis_sessions_open": 4, "redis_sessions_ended": 8}
    for keys in (KeySpace(tenant), KeySpace(tenant, shadow=True)):
        assert await redis.zrange(keys.key("sessions:open", "11"), 0, -1) == [b"u10"]
        entries: Any = await redis.xrange(keys.key("sessions:outbox", "0"))
        left = [fields[b"session"] for _, fields in entries]
        assert left == [msgspec.msgpack.encode(["u10", "events", "1"]), b"\xc1"]
        assert await redis.exists(keys.key("user:recent", "u10")) == 1
