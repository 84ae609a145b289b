"""Three verdicts that must be one: the fast path, the slow path and `jsonschema` on the exported schema."""

from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.event import Event
from schemas.verdict import Rejected
from tests.tracking_configs.factories import (
    at_door,
    encode,
    example_judge,
    make_config,
    make_field,
    make_registry,
    on_topic,
    template_config,
)
from tracking_configs.checks import check_config
from tracking_configs.json_schema import event_schema
from tracking_configs.judge import Judge
from tracking_configs.model import FieldSpec, TrackingConfig, draft_of
from tracking_configs.registry import ConfigRegistry
from tracking_configs.slow_path import judge_slowly
from tracking_configs.template import load_templates

ACTIONS = ("click", "play", "spin")
WORDS = ("", "a", "ab", "abc", "B", "ß", "标准", "x" * 9)
PATTERNS = ("^a", "b", "^[A-Z]{1,2}", "^a?b*c+$")  # RE2 and Python's re mean the same by these

numbers = st.one_of(
    st.integers(-3, 6),
    st.sampled_from([0.5, 1.0, 3.0, -0.0, 2.5, 2**53, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 1e19, 1e300]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(WORDS))
values = st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(st.sampled_from(WORDS), scalars, max_size=3))


@st.composite
def bounds(draw: st.DrawFn, low: str, high: str, of: st.SearchStrategy[Any]) -> dict[str, Any]:
    pair = sorted([draw(of), draw(of)])
    return {low: draw(st.sampled_from([None, pair[0]])), high: draw(st.sampled_from([None, pair[1]]))}


@st.composite
def fields(draw: st.DrawFn, name: str) -> FieldSpec:
    kind = draw(st.sampled_from(["integer", "number", "string", "boolean", "array", "object", "enum", "int_enum"]))
    required_for = draw(st.sampled_from([(), (), ACTIONS[:1], ACTIONS[1:]]))
    parts: dict[str, Any] = {"required": bool(required_for) or draw(st.booleans()), "required_for": required_for}
    if kind == "integer":
        parts |= draw(bounds("min_value", "max_value", st.integers(-2, 5)))
    elif kind == "number":
        parts |= draw(bounds("min_value", "max_value", st.sampled_from([-1, 0, 0.5, 2.5, 3])))
    elif kind == "string":
        parts |= draw(bounds("min_length", "max_length", st.integers(0, 4)))
        parts["pattern"] = draw(st.sampled_from([None, *PATTERNS]))
    elif kind in ("array", "object"):
        parts["item_type"] = draw(st.sampled_from([None, "integer", "number", "string", "boolean", "object"]))
        parts |= draw(bounds("min_length", "max_length", st.integers(0, 3))) if kind == "array" else {}
    elif kind == "enum":
        parts |= {
            "enum_values": ("a", "standard", ""),
            "enum_aliases": draw(st.sampled_from([{}, {"标准": "standard"}])),
        }
        kind = "string"
    elif kind == "int_enum":
        parts["enum_values"] = (0, 1, 3)
        kind = "integer"
    return make_field(name, kind, **parts)


@st.composite
def configs(draw: st.DrawFn) -> TrackingConfig:
    names = draw(st.lists(st.sampled_from(["alpha", "beta", "class", "payload", "f0"]), unique=True, max_size=4))
    config = make_config(
        scenario_type=draw(st.sampled_from(["custom", "video"])),
        fields=[draw(fields(name)) for name in names],
        actions=["spin"],
    )
    check_config(draft_of(config))
    return config


@st.composite
def events(draw: st.DrawFn, config: TrackingConfig) -> dict[str, Any]:
    body: dict[str, Any] = {
        "event_id": "evt_1",
        "tenant_id": "acme",
        "scenario_id": config.scenario_id,
        "user_id": "u1",
        "item_id": "i1",
        "action_type": draw(st.sampled_from([*ACTIONS, "purchase"])),
        "timestamp": 1_700_000_000_000,
        "context": {"device_type": "mobile"},
    }
    names = [field.field_name for field in config.fields] + ["undeclared"]
    payload = draw(st.dictionaries(st.sampled_from(names), values, max_size=5))
    key = "custom_data" if config.scenario_type == "custom" else f"{config.scenario_type}_data"
    data = draw(st.sampled_from([{key: payload}, {key: payload}, {key: payload}, None, {"news_data": payload}]))
    return body | ({"scenario_data": data} if data is not None else {})


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


BASE_VALUES: dict[str, list[Any]] = {
    "event_id": ["", "e", "e" * 257, 5, None],
    "tenant_id": ["acme", "Acme", "health", 7, None],
    "scenario_id": ["feed", "none", "", "s" * 129, 3, None],
    "user_id": ["u", "", "u" * 256, "u" * 257, [], None],
    "action_type": ["click", "levitate", "", 1, None],
    "timestamp": [1_700_000_000_000, 1_700_000_000_000.0, 1_700_000_000_000.5, "now", 12, 2**70, None],
    "context": [{"device_type": "pc"}, {"device_type": "desktop"}, {"device_type": "tv"}, {"os": 1}, {}, [], None],
    "position": [0, 3, 3.0, -1, 2**63, "1", True, None],
    "experiment_id": ["", "x", "x" * 257, 1, None],
    "scenario_data": [{}, {"custom_data": {}}, {"custom_data": 1}, {"video_data": {}, "x": 1}, {"x": {}}, [], None],
    "extra_data": [{}, {"a": [1]}, [], "x", None],
    "surplus": [1, None],
}


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
