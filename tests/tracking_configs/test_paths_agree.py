"""Three verdicts that must be one: the fast path, the slow path and `jsonschema` on the exported schema."""

from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.event import Event
from schemas.verdict import Rejected
from tests.tracking_configs.event_strategies import BASE_VALUES, configs, events
from tests.tracking_configs.factories import (
    at_door,
    encode,
    example_judge,
    make_config,
    make_registry,
    on_topic,
    template_config,
)
from tracking_configs.json_schema import event_schema
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry
from tracking_configs.slow_path import judge_slowly
from tracking_configs.template import load_templates


def verdicts(body: bytes, registry: ConfigRegistry) -> tuple[Event | None, Event | Rejected]:
    fast = Judge(registry)._judge_fast(body, at_door())
    return fast, judge_slowly(body, at_door(), registry, frozenset())


def is_clean(verdict: Event | Rejected) -> bool:
    return isinstance(verdict, Event) and not verdict.validation_warnings


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_paths_and_json_schema_agree_on_any_config(data: st.DataObject) -> None:
    config = data.draw(configs())
    registry = make_registry(config)
    schema = jsonschema.Draft202012Validator(event_schema(config))
    for _ in range(5):
        body = data.draw(events(config))
        fast, slow = verdicts(encode(body), registry)
        assert schema.is_valid(body) == is_clean(slow), (body, slow, list(schema.iter_errors(body)))
        if fast is not None:
            assert fast == slow


def has_what_is_right_but_not_fast(body: Any) -> bool:
    """An alias, or a whole number written as a float: those alone may be clean and take the slow path."""
    if isinstance(body, dict):
        return any(has_what_is_right_but_not_fast(value) for value in body.values())
    if isinstance(body, list):
        return any(has_what_is_right_but_not_fast(value) for value in body)
    return body == "标准" or (isinstance(body, float) and body.is_integer())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_clean_is_fast(data: st.DataObject) -> None:
    config = data.draw(configs())
    body = data.draw(events(config))
    fast, slow = verdicts(encode(body), make_registry(config))
    if is_clean(slow) and not has_what_is_right_but_not_fast(body):
        assert fast == slow


@settings(max_examples=600, deadline=None)
@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in BASE_VALUES.items()}))
def test_the_paths_agree_on_any_base(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "event_id": "e1",
        "tenant_id": "acme",
        "scenario_id": "feed",
        "user_id": "u",
        "item_id": "i",
    }
    good |= {"action_type": "click", "timestamp": 1_700_000_000_000, "context": {"device_type": "mobile"}}
    registry = make_registry(make_config())
    body = encode(good | changes)
    for arrival in (at_door(), on_topic()):
        fast = Judge(registry)._judge_fast(body, arrival)
        slow = judge_slowly(body, arrival, registry, frozenset())
        if fast is not None:
            if arrival.topic is None and changes.get("event_id", "") is None:
                fast.event_id = slow.event_id = ""  # type: ignore[misc]  # each path makes its own
            assert fast == slow


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ud80x01eE+-.ntrfals ', max_size=120).map(str.encode))
def test_any_bytes_get_a_verdict(value: bytes) -> None:
    assert isinstance(example_judge().judge(value, at_door()), Rejected)


def test_every_template_exports_a_schema_that_takes_its_example() -> None:
    for template in load_templates().values():
        schema = event_schema(template_config(template.id))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(template.example, schema)
