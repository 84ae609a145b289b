"""POST /api/v1/behavior/track, the game form."""

import json

import pytest

from ingest_api.game_form import device_of
from tests.factories import NOON
from tests.ingest_api.doors import FakePublisher, http_door

GAME = "/api/v1/behavior/track"
TENANT = {"X-Tenant-ID": "casino"}


async def test_becomes_an_event_of_the_game_template() -> None:
    publisher = FakePublisher()
    form = {
        "user_id": "u1",
        "game_id": "g7",
        "behavior_type": "bet",
        "bet_amount": 2.5,
        "context": {"device": "mobile", "scene": "home", "position": 3, "request_id": "req_1"},
    }
    async with http_door(publisher) as door:
        answer = await door.post(GAME, json=form, headers=TENANT)
    assert answer.status_code == 200
    assert answer.json()["code"] == 0
    assert answer.json()["message"] == "success"
    sent = json.loads(publisher.published[0].value)
    assert sent == {
        "tenant_id": "casino",
        "scenario_id": "game",
        "user_id": "u1",
        "item_id": "g7",
        "action_type": "bet",
        "context": {"device_type": "mobile", "scene": "home", "request_id": "req_1"},
        "position": 3,
        "scenario_data": {"game_data": {"bet_amount": 2.5}},
        "event_id": answer.json()["data"]["event_id"],
        "timestamp": NOON,
    }


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"user_id": "u", "game_id": "g", "behavior_type": "play"}, 20006),
        ({"user_id": "u", "game_id": "g", "behavior_type": "bet"}, 20007),
        ({"user_id": "u", "game_id": "g", "behavior_type": "fly"}, 20005),
        ({"user_id": "", "game_id": "g", "behavior_type": "view"}, 20005),
        ({"game_id": "g", "behavior_type": "view"}, 20001),
        ({"user_id": "u", "game_id": "g", "behavior_type": "play", "duration": "long"}, 20001),
        ([], 20001),
    ],
)
async def test_refuses_with_a_code(form: object, code: int) -> None:
    publisher = FakePublisher()
    async with http_door(publisher) as door:
        answer = await door.post(GAME, json=form, headers=TENANT)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["message"]
    assert publisher.published == []


async def test_a_view_needs_nothing_but_the_three_names() -> None:
    async with http_door(default_tenant="casino") as door:
        answer = await door.post(GAME, json={"user_id": "u", "game_id": "g", "behavior_type": "view"})
    assert answer.json()["code"] == 0


async def test_system_errors_have_system_codes() -> None:
    form = {"user_id": "u", "game_id": "g", "behavior_type": "view"}
    async with http_door(FakePublisher(down=True), default_tenant="casino") as door:
        away = await door.post(GAME, json=form)
        large = await door.post(GAME, content=b" " * 100_000)
    async with http_door() as door:
        nobody = await door.post(GAME, json=form)
    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, 10002, "2")
    assert (large.status_code, large.json()["code"]) == (413, 10004)
    assert (nobody.status_code, nobody.json()["code"]) == (400, 20004)


def test_reads_the_device_off_the_user_agent() -> None:
    assert device_of("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Mobile/15E148") == "mobile"
    assert device_of("Mozilla/5.0 (iPad; CPU OS 19_0) Mobile/15E148") == "tablet"
    assert device_of("Mozilla/5.0 (Linux; Android 16; Pixel 11) Mobile Safari") == "mobile"
    assert device_of("Mozilla/5.0 (Linux; Android 16; Tab S9) Safari") == "tablet"
    assert device_of("curl/8") == "pc"
