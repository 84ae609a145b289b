"""The judge on values that no example file can show, and on what it makes of an event."""

import json
from typing import Any

import pytest

from schemas.event import Event
from schemas.ids import replayable_event_id
from schemas.limits import MAX_EVENT_BYTES, MAX_FUTURE_MS, MAX_WARNINGS, OLDEST_TIMESTAMP_MS
from schemas.topics import raw_topic
from schemas.verdict import Rejected
from tests.tracking_configs.factories import (
    ARRIVED,
    NOON,
    accepted,
    at_door,
    codes,
    encode,
    example_judge,
    make_config,
    make_field,
    make_registry,
    on_topic,
    rejected,
    template_config,
)
from tracking_configs.base import BASE_FIELDS
from tracking_configs.judge import Judge, wire_value
from tracking_configs.template import load_templates

JUDGE = example_judge()
VIDEO = load_templates()["video"].example


def video(drop: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (VIDEO | fields).items() if name not in drop}


def reasons(value: bytes | None, judge: Judge = JUDGE) -> list[tuple[str, str]]:
    return codes(rejected(judge.judge(value, at_door())).errors)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"   ", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"a": 1} x', "invalid_json"),
        (b'\xef\xbb\xbf{"a": 1}', "invalid_json"),
        (b'{"a": "\xff"}', "invalid_json"),
        (b'{"a": "\\ud800"}', "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": Infinity}', "invalid_json"),
        (b'{"a": 01}', "invalid_json"),
        (b"[1]", "not_an_object"),
        (b'"event"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"[" * 60_000, "too_deep"),
        (b'{"a":' * 10_000, "too_deep"),
        (b" " * (MAX_EVENT_BYTES + 1), "too_large"),
    ],
)
def test_a_value_that_is_no_event_has_one_clear_reason(value: bytes | None, code: str) -> None:
    assert reasons(value) == [("", code)]


def test_says_that_a_value_begins_with_a_byte_order_mark() -> None:
    verdict = rejected(JUDGE.judge(b"\xef\xbb\xbf" + encode(VIDEO), at_door()))
    assert "byte order mark" in verdict.errors[0].message


@pytest.mark.parametrize("part", [b'"\xff"', b'"\\udc00"', b'{"a": "\xed\xa0\x80"}', b"NaN", b"-Infinity", b'"\x01"'])
@pytest.mark.parametrize("place", ["extra_data", "context", "scenario_data", "unknown"])
def test_bad_json_is_found_in_every_part(place: str, part: bytes) -> None:
    inner = {"context": b'{"device_type": "pc", "x": %b}', "scenario_data": b'{"custom_data": {"x": %b}}'}
    body = encode(video(drop=(place,), scenario_id="kiosk"))[:-1] + b',"%b":%b}' % (
        place.encode(),
        inner.get(place, b'{"x": %b}') % part,
    )
    assert reasons(body) == [("", "invalid_json")]


def test_braces_in_strings_do_not_count_as_nesting() -> None:
    extra = {"text": '{[{[{["\\' * 50, "more": "[" * 100}
    event = accepted(JUDGE.judge(encode(video(extra_data=extra)), at_door()))
    assert json.loads(event.extra_data or "") == extra


def test_many_flat_objects_are_not_deep() -> None:
    extra = {"steps": [{"n": [n]} for n in range(200)]}
    assert accepted(JUDGE.judge(encode(video(extra_data=extra)), at_door())).validation_warnings == ()


def test_an_event_of_64_kib_is_taken_and_one_byte_more_is_not() -> None:
    fitting = encode(video(extra_data={"x": ""}))
    fitting = encode(video(extra_data={"x": "a" * (MAX_EVENT_BYTES - len(fitting))}))
    assert len(fitting) == MAX_EVENT_BYTES
    accepted(JUDGE.judge(fitting, at_door()))
    assert reasons(fitting + b" ") == [("", "too_large")]


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "1" + "0" * 5000, "-" + "9" * 400, "18446744073709551616", "1e-400", "-0.0"]
)
def test_a_number_of_any_size_gets_an_answer(number: str) -> None:
    for place in ("duration", "completion_rate", "is_muted", "undeclared"):
        data = encode({"video_data": {place: 0}}).replace(b":0}", b":%b}" % number.encode())
        body = encode(video(drop=("scenario_data",)))[:-1] + b',"scenario_data":' + data + b"}"
        assert accepted(JUDGE.judge(body, at_door())).validation_warnings
    for name in ("timestamp", "position", "user_id", "context"):
        body = encode(video(drop=(name,)))[:-1] + b',"%b":%b}' % (name.encode(), number.encode())
        assert isinstance(JUDGE.judge(body, at_door()), Event | Rejected)


def test_the_last_of_two_equal_keys_counts() -> None:
    body = encode(VIDEO)[:-1] + b',"user_id":"second"}'
    assert accepted(JUDGE.judge(body, at_door())).user_id == "second"


def test_keeps_the_clients_own_text() -> None:
    context = '{ "device_type" : "mobile", "zoom": 1.50, "n": 10000000000000000000000 }'
    data = '{ "video_data": {"duration": 1e2, "watch_duration": 5, "completion_rate": 0.50} }'
    body = (
        encode(video(drop=("context", "scenario_data")))[:-1]
        + f',"context":{context},"scenario_data":{data}}}'.encode()
    )
    event = accepted(JUDGE.judge(body, at_door()))
    assert (event.context_json, event.scenario_data) == (context, data)


def test_an_alias_is_stored_as_the_enums_own_value_and_all_else_as_it_came() -> None:
    data = '{"music_data":{"duration":1e2,"play_duration":7,"audio_quality":"标准","bpm":null}}'
    music = load_templates()["music"].example
    body = encode({name: music[name] for name in music if name != "scenario_data"})[:-1] + (
        f',"scenario_data":{data}}}'.encode()
    )
    event = accepted(JUDGE.judge(body, at_door()))
    assert event.scenario_data == data.replace("标准", "standard")
    assert event.validation_warnings == ()


def test_desktop_is_stored_as_pc_on_both_paths() -> None:
    context = {"device_type": "desktop", "os": "Linux"}
    for body in (video(context=context), video(context=context, unknown=1)):
        event = accepted(JUDGE.judge(encode(body), at_door()))
        assert event.context.device_type == "pc"
        assert json.loads(event.context_json) == {"device_type": "pc", "os": "Linux"}


def test_unknown_fields_are_not_stored_and_the_platforms_own_not_believed() -> None:
    event = accepted(JUDGE.judge(encode(video(received_at=1, source="grpc", config_version=7, mood="x")), at_door()))
    assert (event.received_at, event.source, event.config_version) == (ARRIVED, "http", 1)
    assert "mood" not in str(event.as_dict()["extra_data"])


class TestAtADoor:
    def test_fills_in_id_time_and_tenant(self) -> None:
        event = accepted(JUDGE.judge(encode(video(event_id=None, drop=("timestamp", "tenant_id"))), at_door()))
        assert event.event_id.startswith("evt_") and len(event.event_id) == 20
        assert (event.timestamp, event.tenant_id) == (ARRIVED, "acme")

    def test_an_event_of_no_tenant_is_rejected(self) -> None:
        verdict = JUDGE.judge(encode(video(drop=("tenant_id",))), at_door(tenant=None))
        assert codes(rejected(verdict).errors) == [("tenant_id", "missing")]

    def test_an_event_may_name_its_own_tenant(self) -> None:
        assert accepted(JUDGE.judge(encode(video(tenant_id="other")), at_door())).tenant_id == "other"

    def test_a_rejected_event_keeps_the_clients_id_and_gets_no_other(self) -> None:
        assert rejected(JUDGE.judge(encode(video(user_id="")), at_door())).event_id == VIDEO["event_id"]
        assert rejected(JUDGE.judge(encode(video(user_id="", drop=("event_id",))), at_door())).event_id is None

    @pytest.mark.parametrize("end", ["", " ", "\n\t "])
    @pytest.mark.parametrize("given", [{}, {"event_id": None, "timestamp": None}])
    def test_the_wire_value_carries_what_was_filled_in(self, given: dict[str, Any], end: str) -> None:
        body = encode(video(drop=("event_id", "timestamp", "tenant_id")) | given) + end.encode()
        event = accepted(JUDGE.judge(body, at_door()))
        sent = json.loads(wire_value(body, event))
        assert sent == VIDEO | {"event_id": event.event_id, "timestamp": ARRIVED}

    def test_the_wire_value_of_a_whole_event_is_its_body(self) -> None:
        body = encode(VIDEO)
        assert wire_value(body, accepted(JUDGE.judge(body, at_door()))) is body


class TestOnARawTopic:
    def test_an_event_without_id_gets_the_same_one_each_time(self) -> None:
        body = encode(video(drop=("event_id",)))
        first, second = (accepted(JUDGE.judge(body, on_topic())) for _ in range(2))
        assert first == second
        assert first.event_id == replayable_event_id(raw_topic("acme"), 3, 41, body)
        assert codes(first.validation_warnings) == [("event_id", "event_id_missing")]

    def test_an_event_without_time_is_rejected(self) -> None:
        verdict = JUDGE.judge(encode(video(drop=("timestamp",))), on_topic())
        assert codes(rejected(verdict).errors) == [("timestamp", "missing")]

    @pytest.mark.parametrize(("tenant", "code"), [("other", "tenant_mismatch"), (None, "missing")])
    def test_an_event_of_another_tenant_or_none_is_rejected(self, tenant: str | None, code: str) -> None:
        verdict = JUDGE.judge(encode(video(tenant_id=tenant)), on_topic())
        assert codes(rejected(verdict).errors) == [("tenant_id", code)]


@pytest.mark.parametrize("value", [{}, [], {"a": [1]}, 1.5, True, "x"])
def test_a_base_field_of_any_type_gets_an_answer(value: Any) -> None:
    for name in BASE_FIELDS:
        assert isinstance(JUDGE.judge(encode(VIDEO | {name: value}), at_door()), Event | Rejected)


@pytest.mark.parametrize(
    ("timestamp", "good"),
    [
        (OLDEST_TIMESTAMP_MS, True),
        (OLDEST_TIMESTAMP_MS - 1, False),
        (ARRIVED + MAX_FUTURE_MS, True),
        (ARRIVED + MAX_FUTURE_MS + 1, False),
        (float(NOON), True),
    ],
)
@pytest.mark.parametrize("path", ["fast", "slow"])
def test_the_bounds_of_time_are_the_same_on_both_paths(timestamp: int, good: bool, path: str) -> None:
    body = video(timestamp=timestamp) | ({"unknown": 1} if path == "slow" else {})
    assert isinstance(JUDGE.judge(encode(body), at_door()), Event) == good


def test_an_event_without_a_config_draws_its_signals_from_the_key_of_its_payload() -> None:
    event = accepted(JUDGE.judge(encode(video(scenario_id="undeclared")), at_door()))
    assert (event.scenario_type, event.weight, event.dwell_ms, event.config_version) == ("video", 2.0, 96_000, 0)
    bare = accepted(JUDGE.judge(encode(video(scenario_id="undeclared", drop=("scenario_data",))), at_door()))
    assert (bare.scenario_type, bare.weight, bare.dwell_ms) == ("custom", 2.0, 0)


def test_a_tenant_may_refuse_scenarios_without_a_config() -> None:
    judge = Judge(make_registry(), refuse_unknown_scenarios=frozenset({"acme"}))
    assert reasons(encode(VIDEO), judge) == [("scenario_id", "no_tracking_config")]
    assert isinstance(judge.judge(encode(video(tenant_id="other")), at_door()), Event)


def test_category_and_dwell_come_from_the_payload() -> None:
    news = load_templates()["news"].example
    event = accepted(JUDGE.judge(encode(news), at_door()))
    assert (event.category, event.dwell_ms) == ("sports", 75_000)


def test_a_stay_of_more_than_a_day_counts_as_a_day() -> None:
    data = {"video_data": {**VIDEO["scenario_data"]["video_data"], "watch_duration": 2**62}}
    assert accepted(JUDGE.judge(encode(video(scenario_data=data)), at_door())).dwell_ms == 86_400_000


def test_a_config_may_declare_further_actions() -> None:
    judge = Judge(make_registry(template_config("video", actions=["binge"])))
    event = accepted(judge.judge(encode(video(action_type="binge")), at_door()))
    assert (event.validation_warnings, event.weight) == ((), 1.0)
    assert reasons(encode(video(action_type="binge", scenario_id="other")), judge) == [
        ("action_type", "unknown_action")
    ]


def test_a_config_that_rejects_takes_what_is_wrong_with_the_scenario_only() -> None:
    judge = Judge(make_registry(template_config("video", enforcement="reject")))
    event = accepted(judge.judge(encode(video(unknown=1)), at_door()))
    assert codes(event.validation_warnings) == [("unknown", "unknown_field")]
    assert reasons(encode(video(action_type="purchase")), judge) == [("action_type", "action_not_in_scenario")]


def test_a_custom_scenario_is_judged_by_its_fields() -> None:
    config = make_config(fields=[make_field("level", "integer", required=True, min_value=1)])
    judge = Judge(make_registry(config))

    def warnings(payload: Any) -> list[tuple[str, str]]:
        body = encode(video(scenario_id="feed", scenario_data={"custom_data": payload}))
        return codes(accepted(judge.judge(body, at_door())).validation_warnings)

    assert warnings({"level": 3}) == []
    assert warnings({"level": 0}) == [("scenario_data.custom_data.level", "out_of_range")]
    assert warnings({"other": 1}) == [
        ("scenario_data.custom_data.other", "undeclared_field"),
        ("scenario_data.custom_data.level", "missing"),
    ]


def test_the_list_of_warnings_is_bounded_and_says_so() -> None:
    payload = VIDEO["scenario_data"]["video_data"] | {f"x{n}": n for n in range(500)}
    event = accepted(JUDGE.judge(encode(video(scenario_data={"video_data": payload})), at_door()))
    assert len(event.validation_warnings) == MAX_WARNINGS
    assert codes(event.validation_warnings)[-1] == ("", "more_warnings")


def test_a_message_repeats_little_of_what_the_client_sent() -> None:
    payload = VIDEO["scenario_data"]["video_data"] | {"video_quality": "x" * 5000, "y" * 5000: 1}
    event = accepted(JUDGE.judge(encode(video(scenario_data={"video_data": payload})), at_door()))
    assert max(len(issue.message) + len(issue.field) for issue in event.validation_warnings) < 400


def test_a_message_says_what_was_expected_and_what_came() -> None:
    payload = VIDEO["scenario_data"]["video_data"] | {"duration": "long", "completion_rate": 1.5, "video_quality": "8K"}
    event = accepted(JUDGE.judge(encode(video(scenario_data={"video_data": payload})), at_door()))
    assert [issue.message for issue in event.validation_warnings] == [
        'expected integer, got string "long"',
        "expected 0 to 1, got 1.5",
        'expected one of 360p, 480p, 720p, 1080p, 2K, 4K, got string "8K"',
    ]
