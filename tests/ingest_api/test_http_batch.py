"""POST /api/v1/behaviors/track/batch."""

import json

import pytest

from tests.factories import make_body
from tests.ingest_api.doors import FakePublisher, http_door

BATCH = "/api/v1/behaviors/track/batch"


async def test_takes_the_good_events_of_a_batch_when_others_fail() -> None:
    publisher = FakePublisher()
    events = [make_body(event_id="a"), make_body(event_id="b", user_id=None), "c", make_body(event_id="d")]
    async with http_door(publisher) as door:
        answer = await door.post(BATCH, json={"events": events})
    content = answer.json()
    assert answer.status_code == 200
    assert (content["success"], content["total"], content["succeeded"], content["failed"]) == (False, 4, 2, 2)
    assert [(line["index"], line.get("event_id")) for line in content["errors"]] == [(1, "b"), (2, None)]
    assert content["errors"][0]["errors"][0]["field"] == "user_id"
    assert [json.loads(sent.value)["event_id"] for sent in publisher.published] == ["a", "d"]


async def test_takes_one_event_id_twice_in_a_batch() -> None:
    publisher = FakePublisher()
    async with http_door(publisher) as door:
        answer = await door.post(BATCH, json={"events": [make_body(), make_body()]})
    assert answer.json() == {"success": True, "total": 2, "succeeded": 2, "failed": 0}
    assert len(publisher.published) == 2  # the stream counts them once


async def test_keeps_the_order_of_a_batch() -> None:
    publisher = FakePublisher()
    async with http_door(publisher) as door:
        await door.post(BATCH, json={"events": [make_body(event_id=f"e{n}") for n in range(100)]})
    assert [json.loads(sent.value)["event_id"] for sent in publisher.published] == [f"e{n}" for n in range(100)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "wrong_type"),
        (b"{}", "wrong_type"),
        (b'{"events": {}}', "wrong_type"),
        (b'{"events": []}', "too_short"),
        (json.dumps({"events": [{}] * 101}).encode(), "too_long"),
        (b'{"events": [' + b"[" * 50_000, "invalid_json"),
    ],
)
async def test_refuses_what_is_no_batch(body: bytes, code: str) -> None:
    async with http_door() as door:
        answer = await door.post(BATCH, content=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == code


async def test_refuses_a_batch_over_its_bound() -> None:
    async with http_door() as door:
        answer = await door.post(BATCH, content=b" " * 10_000_000)
    assert answer.status_code == 413


async def test_an_oversized_event_does_not_keep_the_others_back() -> None:
    async with http_door() as door:
        answer = await door.post(BATCH, json={"events": [make_body(extra_data={"x": "y" * 70_000}), make_body()]})
    assert answer.status_code == 200
    assert answer.json()["succeeded"] == 1
    assert answer.json()["errors"][0]["errors"][0]["code"] == "too_large"


async def test_says_come_back_when_the_broker_took_none() -> None:
    publisher = FakePublisher(down=True)
    async with http_door(publisher) as door:
        answer = await door.post(BATCH, json={"events": [make_body(), make_body(user_id=None)]})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert [line["errors"][0]["code"] for line in answer.json()["errors"]] == ["broker_unavailable", "missing"]
    assert answer.json()["trace_id"]


async def test_a_batch_of_bad_events_is_answered_even_while_the_broker_is_away() -> None:
    async with http_door(FakePublisher(down=True)) as door:
        answer = await door.post(BATCH, json={"events": [make_body(user_id=None)]})
    assert answer.status_code == 200
    assert answer.json()["failed"] == 1
