"""POST /api/v1/behaviors/track and /validate: what is taken, and every way in which it is not."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingest_api.deps import MAX_BATCH_BYTES
from schemas.limits import MAX_EVENT_BYTES
from tests.factories import NOON, make_body
from tests.ingest_api.doors import FakePublisher, http_door

TRACK = "/api/v1/behaviors/track"
VALIDATE = "/api/v1/behaviors/validate"
JSON = {"content-type": "application/json"}


def padded(size: int) -> bytes:
    """A good event of exactly so many bytes."""
    bare = len(json.dumps(make_body(extra_data={"pad": ""})))
    return json.dumps(make_body(extra_data={"pad": "x" * (size - bare)})).encode()


def nested(depth: int) -> dict[str, Any]:
    return {"in": nested(depth - 1)} if depth else {}


async def test_takes_a_good_event_as_the_client_wrote_it() -> None:
    publisher = FakePublisher()
    async with http_door(publisher) as door:
        body = json.dumps(make_body(user_id="用户1", extra_data={"größe": [1, 2.50]})).encode()
        answer = await door.post(TRACK, content=body, headers=JSON)
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["event_id"] == "evt_0123456789abcdef"
    assert answer.json()["message"] == "Event tracked successfully"
    assert [issue["code"] for issue in answer.json()["validation_warnings"]] == ["no_tracking_config"]
    assert publisher.published == [("acme", "用户1", body, "http")]


async def test_fills_in_what_the_client_left_out() -> None:
    publisher = FakePublisher()
    async with http_door(publisher, default_tenant="house") as door:
        left_out = make_body(event_id=None, timestamp=None, tenant_id=None)
        answer = await door.post(TRACK, json=left_out)
        named = await door.post(TRACK, json=left_out, headers={"X-Tenant-ID": "acme"})
    assert answer.json()["event_id"].startswith("evt_")
    sent = json.loads(publisher.published[0].value)
    assert sent == left_out | {"event_id": answer.json()["event_id"], "timestamp": NOON, "tenant_id": "house"}
    assert named.status_code == 200
    assert publisher.published[1].tenant == "acme"


async def test_the_event_names_its_tenant_before_the_call_does() -> None:
    publisher = FakePublisher()
    async with http_door(publisher, default_tenant="house") as door:
        answer = await door.post(TRACK, json=make_body(tenant_id="acme"))
    assert answer.status_code == 200
    assert publisher.published[0].tenant == "acme"


@pytest.fixture(scope="module")
async def refusing() -> AsyncIterator[tuple[Any, FakePublisher]]:
    publisher = FakePublisher(closed=frozenset({"stranger"}))
    async with http_door(publisher) as door:
        yield door, publisher


BAD: dict[str, tuple[bytes, int, str, str]] = {
    "an empty body": (b"", 400, "", "empty"),
    "no JSON": (b"{nope", 400, "", "invalid_json"),
    "an array": (b"[]", 400, "", "not_an_object"),
    "a string": (b'"event"', 400, "", "not_an_object"),
    "null": (b"null", 400, "", "not_an_object"),
    "not UTF-8": (b'{"user_id": "\xff"}', 400, "", "invalid_json"),
    "no user": (json.dumps(make_body(user_id=None)).encode(), 400, "user_id", "missing"),
    "a number for a user": (json.dumps(make_body(user_id=7)).encode(), 400, "user_id", "wrong_type"),
    "an empty user": (json.dumps(make_body(user_id="")).encode(), 400, "user_id", "too_short"),
    "a long item": (json.dumps(make_body(item_id="i" * 257)).encode(), 400, "item_id", "too_long"),
    "no tenant": (json.dumps(make_body(tenant_id=None)).encode(), 400, "tenant_id", "missing"),
    "a malformed tenant": (json.dumps(make_body(tenant_id="A b")).encode(), 400, "tenant_id", "invalid_tenant"),
    "an unknown tenant": (json.dumps(make_body(tenant_id="stranger")).encode(), 400, "tenant_id", "tenant_unknown"),
    "an unknown action": (json.dumps(make_body(action_type="fly")).encode(), 400, "action_type", "unknown_action"),
    "an old timestamp": (json.dumps(make_body(timestamp=1)).encode(), 400, "timestamp", "timestamp_too_old"),
    "no context": (json.dumps(make_body(context=None)).encode(), 400, "context", "missing"),
    "another device": (
        json.dumps(make_body(context={"device_type": "fridge"})).encode(),
        400,
        "context.device_type",
        "not_in_enum",
    ),
    "too deep": (json.dumps(make_body(extra_data=nested(17))).encode(), 400, "", "too_deep"),
    "very deep": (b'{"a":' * 10_000, 400, "", "too_deep"),
    "over 64 KiB": (padded(MAX_EVENT_BYTES + 1), 413, "", "too_large"),
    "10 MB": (b" " * 10_000_000, 413, "", "too_large"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("path", [TRACK, VALIDATE])
async def test_refuses(refusing: tuple[Any, FakePublisher], case: str, path: str) -> None:
    door, publisher = refusing
    body, status, field, code = BAD[case]
    answer = await door.post(path, content=body, headers=JSON)
    content = answer.json()
    assert answer.status_code == status
    assert content["success"] is False
    assert (field, code) in [(error["field"], error["code"]) for error in content["errors"]]
    assert content["message"]
    assert len(content["trace_id"]) == 32
    assert publisher.published == []


async def test_names_every_error_at_once(refusing: tuple[Any, FakePublisher]) -> None:
    door, _ = refusing
    answer = await door.post(TRACK, json=make_body(user_id=None, item_id=5, action_type="fly"))
    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields >= {"user_id", "item_id", "action_type"}


async def test_takes_an_event_of_exactly_64_kib() -> None:
    async with http_door() as door:
        answer = await door.post(TRACK, content=padded(MAX_EVENT_BYTES), headers=JSON)
    assert answer.status_code == 200


async def test_refuses_an_event_that_what_the_door_fills_in_makes_too_large() -> None:
    publisher = FakePublisher()
    body = padded(MAX_EVENT_BYTES).replace(b'"event_id": "evt_0123456789abcdef"', b'"experiment_id": "0123456789abcd"')
    assert MAX_EVENT_BYTES - 40 < len(body) <= MAX_EVENT_BYTES
    async with http_door(publisher) as door:
        answer = await door.post(TRACK, content=body, headers=JSON)
    assert answer.status_code == 413
    assert publisher.published == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content-type": "application/json; charset=UTF-8"}, 200),
        ({"content-type": "application/vnd.acme+json"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
async def test_takes_uncompressed_json_only(headers: dict[str, str], status: int) -> None:
    async with http_door() as door:
        answer = await door.post(TRACK, content=json.dumps(make_body()).encode(), headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["success"] is False
        assert "connection" not in answer.headers  # to close it while the client sends may lose the answer


async def test_says_come_back_while_the_broker_is_away_and_takes_nothing() -> None:
    publisher = FakePublisher(down=True)
    async with http_door(publisher) as door:
        answer = await door.post(TRACK, json=make_body())
        health = (await door.get("/api/v1/behaviors/health")).json()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["event_id"] == "evt_0123456789abcdef"
    assert answer.json()["errors"][0]["code"] == "broker_unavailable"
    assert publisher.published == []
    assert health["status"] == "degraded"
    assert health["kafka_available"] is False
    assert health["stats"]["kafka_failed"] == 1
    assert health["stats"]["success_rate"] == 0.0


async def test_validate_answers_as_track_and_sends_nothing() -> None:
    publisher = FakePublisher()
    async with http_door(publisher) as door:
        validated = await door.post(VALIDATE, json=make_body())
        health = (await door.get("/api/v1/behaviors/health")).json()
        tracked = await door.post(TRACK, json=make_body())
    assert validated.status_code == tracked.status_code == 200
    assert validated.json() == tracked.json()
    assert len(publisher.published) == 1
    assert health["stats"]["total_events"] == 0


async def test_counts_what_it_was_given() -> None:
    async with http_door() as door:
        await door.post(TRACK, json=make_body())
        await door.post(TRACK, json=make_body(user_id=None))
        health = (await door.get("/api/v1/behaviors/health")).json()
    assert health["status"] == "healthy"
    assert health["stats"] == {
        "total_events": 2,
        "kafka_success": 1,
        "kafka_failed": 0,
        "rejected": 1,
        "validation_warnings": 1,
        "success_rate": 100.0,
    }


@pytest.mark.parametrize(("path", "bound"), [(TRACK, MAX_EVENT_BYTES), (f"{TRACK}/batch", MAX_BATCH_BYTES)])
async def test_stops_reading_a_body_without_a_length_where_its_bound_is(path: str, bound: int) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 4096
            yield b" " * 4096

    async with http_door() as door:
        answer = await door.post(path, content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert read <= bound + 2 * 4096


async def test_takes_an_event_in_chunks() -> None:
    body = json.dumps(make_body()).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    async with http_door() as door:
        answer = await door.post(TRACK, content=chunks(), headers=JSON)
    assert answer.status_code == 200
