"""The Avro and JSON forms of what lies on the platform's topics."""

import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter import dead_letter, decode_dead_letter, encode_dead_letter
from schemas.event import Context, Event
from schemas.single_object import MAGIC, SingleObjectCodec, UnknownSchemaError, load_codec
from schemas.validated import decode_event, encode_event, encode_event_plainly
from schemas.verdict import Code, Issue
from tests.factories import make_event

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
optional_texts = st.none() | texts
long_texts = texts | st.integers(0, 20_000).map(lambda length: "ß" * length)
longs = st.integers(-(2**63), 2**63 - 1)
ints = st.integers(-(2**31) + 1, 2**31 - 1)
issues = st.builds(Issue, texts, st.sampled_from(list(Code)), texts)
events = st.builds(
    make_event,
    event_id=texts,
    user_id=texts,
    context=st.builds(Context, st.sampled_from(["mobile", "pc"]), optional_texts, optional_texts, optional_texts),
    context_json=long_texts,
    timestamp=longs,
    received_at=longs,
    config_version=ints,
    partition=ints,
    offset=longs,
    position=st.none() | longs,
    scenario_data=st.none() | long_texts,
    extra_data=st.none() | long_texts,
    experiment_id=optional_texts,
    experiment_group=optional_texts,
    category=optional_texts,
    validation_warnings=st.lists(issues, max_size=3).map(tuple),
    weight=st.floats(allow_nan=False),
    positive=st.booleans(),
    dwell_ms=st.integers(0, 2**40),
    completion=st.none() | st.floats(0, 1),
)


@given(events)
def test_a_validated_event_survives_the_wire(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


@given(events)
def test_an_event_is_written_as_the_schema_says(event: Event) -> None:
    assert encode_event(event) == encode_event_plainly(event)


@pytest.mark.parametrize("number", [0, 63, 64, 2**20 - 1, 2**20, 2**31 - 1, 2**62, 2**63 - 1])
def test_a_number_is_written_as_the_schema_says(number: int) -> None:
    for offset in (number, -number, ~number):
        event = make_event(offset=offset)
        assert encode_event(event) == encode_event_plainly(event)


@pytest.mark.parametrize("fields", [{"position": 2**63}, {"offset": -(2**63) - 1}, {"config_version": 2**31}])
def test_a_number_that_the_schema_cannot_hold_is_an_error(fields: dict[str, int]) -> None:
    with pytest.raises(OverflowError):
        encode_event(make_event(**fields))


def test_text_that_is_none_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_event(make_event(user_id="\ud800"))


@pytest.mark.parametrize(("weight", "positive"), [(2.0, True), (0.0, False), (-1.0, False)])
def test_an_event_of_an_older_release_is_read_with_what_it_meant_then(weight: float, positive: bool) -> None:
    older = json.loads((resources.files("schemas") / "avro" / "validated_behavior.v1.avsc").read_text())
    newest = load_codec("validated_behavior").decode(encode_event(make_event(weight=weight)))
    record = {field["name"]: newest[field["name"]] for field in older["fields"]}
    event = decode_event(SingleObjectCodec(older).encode(record))
    assert event == make_event(weight=weight, positive=positive)


def test_a_validated_event_is_a_single_object_record() -> None:
    assert encode_event(make_event()).startswith(MAGIC)


@pytest.mark.parametrize("value", [b"", b"{}", MAGIC + b"\0" * 8, b'{"event_id":"x"}' * 10])
def test_refuses_a_value_of_another_schema(value: bytes) -> None:
    with pytest.raises(UnknownSchemaError):
        decode_event(value)


def test_a_session_summary_survives_the_wire() -> None:
    codec = load_codec("session_summary")
    summary = {
        "session_id": "ses_1",
        "tenant_id": "acme",
        "user_id": "u1",
        "scenario_id": "vlog_feed",
        "started_at": 1,
        "ended_at": 2,
        "events": 3,
        "items": 2,
        "dwell_ms": 0,
        "actions": {"play": 3},
        "device_type": "pc",
        "experiment_id": None,
        "experiment_group": "b",
        "late": 1,
        "closed_at": 5,
    }
    assert codec.decode(codec.encode(summary)) == summary
    older = json.loads(resources.files("schemas").joinpath("avro/session_summary.v1.avsc").read_text())
    written_before = SingleObjectCodec(older).encode(summary)
    assert codec.decode(written_before) == summary | {"late": 0, "closed_at": None}


@given(st.none() | st.binary(max_size=200))
def test_a_dead_letter_keeps_the_original_bytes(value: bytes | None) -> None:
    errors = (Issue("user_id", Code.MISSING, "is required"), Issue("item_id", Code.MISSING, "is required"))
    place: dict[str, Any] = {"topic": "user-behaviors-acme", "partition": 1, "offset": 7, "timestamp": 5}
    letter = dead_letter(value, errors, **place, scenario_id="feed", config_version=2)
    again = decode_dead_letter(encode_dead_letter(letter))
    assert again == letter
    assert again.original_bytes == (value or b"")
    assert again.reason_codes == ("missing",)


def test_a_dead_letter_written_before_it_named_its_scenario_is_read() -> None:
    letter = decode_dead_letter(
        b'{"reason_codes":["empty"],"message":"event: no","errors":[{"field":"","code":"empty","message":"no"}],'
        b'"original":"","topic":"t","partition":0,"offset":1,"timestamp":2}'
    )
    assert (letter.scenario_id, letter.config_version) == (None, 0)


def test_a_dead_letter_is_json_a_person_can_read() -> None:
    letter = dead_letter(
        b"x", (Issue("", Code.INVALID_JSON, "is not JSON"),), topic="t", partition=0, offset=1, timestamp=2
    )
    plain = json.loads(encode_dead_letter(letter))
    assert plain["reason_codes"] == ["invalid_json"]
    assert plain["message"] == "event: is not JSON"
