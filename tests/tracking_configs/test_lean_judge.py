"""The lean judge says of every record what the judge says, and gives of an event all but its texts."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.event import Event, Source
from schemas.limits import MAX_EVENT_BYTES, MAX_NESTING
from schemas.topics import SOURCE_HEADER, raw_topic
from schemas.verdict import Rejected
from tests.tracking_configs.event_strategies import BASE_VALUES, configs, events
from tests.tracking_configs.factories import ARRIVED, encode, example_judge, make_config, make_registry, template_config
from tracking_configs.judge import Judge
from tracking_configs.lean_judge import LeanJudge, without_texts
from tracking_configs.raw_records import RawRecord
from tracking_configs.template import load_templates

GOOD: dict[str, Any] = {
    "event_id": "e1",
    "tenant_id": "acme",
    "scenario_id": "feed",
    "user_id": "u",
    "item_id": "i",
    "action_type": "click",
    "timestamp": 1_700_000_000_000,
    "context": {"device_type": "mobile"},
}
DEEP = b'{"a":' * (MAX_NESTING + 1) + b"1" + b"}" * (MAX_NESTING + 1)


@dataclass(frozen=True)
class Raw:
    """A record of a raw topic."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    offset: int = 41
    topic: str = raw_topic("acme")
    partition: int = 3
    timestamp: int = ARRIVED


class NotAsked(Judge):
    """Fails the test when an event comes to it."""

    def judge(self, *event: Any) -> Event | Rejected:
        raise AssertionError(event)


def agree(judge: Judge, *records: RawRecord, tenant: str = "acme") -> list[Event | Rejected]:
    found = LeanJudge(judge).judge_all(records, tenant)
    expected = judge.judge_all(records, tenant)
    assert found == [without_texts(verdict) if isinstance(verdict, Event) else verdict for verdict in expected]
    return found


def changed(**changes: Any) -> Raw:
    return Raw(encode(GOOD | changes))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_they_agree_on_batches_of_any_configs(data: st.DataObject) -> None:
    mine = [msgspec.structs.replace(data.draw(configs()), scenario_id=name) for name in ("feed", "game", "ß")]
    bodies = [data.draw(events(data.draw(st.sampled_from(mine)))) for _ in range(8)]
    agree(Judge(make_registry(*mine)), *(Raw(encode(body), offset=place) for place, body in enumerate(bodies)))


@settings(max_examples=500, deadline=None)
@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in BASE_VALUES.items()}))
def test_they_agree_on_any_base(changes: dict[str, Any]) -> None:
    agree(Judge(make_registry(make_config())), Raw(encode(GOOD)), changed(**changes), Raw(encode(GOOD)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ud80x01eE+-.ntrfals ', max_size=120).map(str.encode))
def test_they_agree_on_any_bytes(value: bytes) -> None:
    agree(example_judge(), Raw(value), Raw(b'{"scenario_id":"feed",' + value), Raw(b'{"scenario_id":"' + value))


@pytest.mark.parametrize(
    "record",
    [
        Raw(None),
        Raw(b""),
        Raw(encode(GOOD)[:-1] + b',"extra_data":' + DEEP + b"}"),
        Raw(encode(GOOD) + b" " * MAX_EVENT_BYTES),
        Raw(encode(GOOD)[:-1] + b',"scenario_id":"none"}'),
        Raw(encode(GOOD)[:-1] + b',"extra_data":{"scenario_id":"none"}}'),
        Raw(b'{"extra_data":{"scenario_id":"none"},' + encode(GOOD)[1:]),
        Raw(encode(GOOD).replace(b'"feed"', b'"f\\u0065ed"')),
        Raw(encode(GOOD).replace(b'"u"', b'"\xff"')),
        Raw(encode(GOOD).replace(b'"mobile"', b'"mobile","os":"\xff"')),
        Raw(encode(GOOD), headers=((SOURCE_HEADER, b"http"),)),
        Raw(encode(GOOD), headers=((SOURCE_HEADER, b"grpc"), (SOURCE_HEADER, b"mine"))),
        Raw(encode(GOOD), timestamp=GOOD["timestamp"] - 25 * 3600 * 1000),
    ],
    ids=str,
)
def test_they_agree_on_what_is_odd(record: Raw) -> None:
    agree(Judge(make_registry(make_config())), record)


def test_they_agree_on_another_tenants_event() -> None:
    (verdict,) = agree(Judge(make_registry(make_config())), Raw(encode(GOOD)), tenant="beta")
    assert isinstance(verdict, Rejected)


def test_a_clean_event_does_not_come_to_the_judge_whatever_came_before_it() -> None:
    templates = [template_config(name) for name in load_templates()]
    examples = [template.example | {"timestamp": ARRIVED} for template in load_templates().values()]
    tenant = templates[0].tenant_id
    judge = NotAsked(make_registry(*templates))
    found = LeanJudge(judge).judge_all([Raw(encode(example | {"tenant_id": tenant})) for example in examples], tenant)
    assert [event.scenario_id for event in found] == [example["scenario_id"] for example in examples]


def test_a_source_is_that_of_our_doors() -> None:
    (event,) = agree(Judge(make_registry(make_config())), Raw(encode(GOOD), headers=((SOURCE_HEADER, b"http"),)))
    assert isinstance(event, Event)
    assert event.source == Source.HTTP
