"""What compiling costs and shares, and that the fast path draws the same as the slow one."""

import time
import weakref
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracking_configs.factories import encode, make_config, make_field, template_config
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.model import TrackingConfig
from tracking_configs.template import load_templates

COMPILED_WITHIN_S = 0.02


def read(compiled: CompiledConfig, action: str, payload: Any) -> Any:
    return compiled.read(action, msgspec.Raw(encode({compiled.payload_key: payload})))


def test_configs_that_say_the_same_of_events_share_what_is_compiled() -> None:
    one = template_config("video", "one")
    other = msgspec.structs.replace(template_config("video", "two"), tenant_id="other", version=7, author="someone")
    first, second = compile_config(one), compile_config(other)
    assert first.specs is second.specs and first.matchers is second.matchers and first.signals is second.signals
    assert (first.config, first.version) == (one, 1)
    assert (second.config, second.version) == (other, 7)


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"duration": {"max_value": 10}}},
        {"fields": {"duration": {"required_for": ["click"]}}},
        {"actions": ["spin"]},
        {"weights": {"click": 2}},
        {"enforcement": "reject"},
        {"dwell": None},
    ],
)
def test_configs_that_differ_in_what_they_say_share_nothing(change: dict[str, Any]) -> None:
    first, second = compile_config(template_config("video")), compile_config(template_config("video", **change))
    assert first.specs is not second.specs and first.signals is not second.signals


def test_what_no_config_in_use_says_is_forgotten() -> None:
    compiled = weakref.ref(compile_config(make_config(fields=[make_field("once", "string")])))
    assert compiled() is None


def test_the_required_fields_are_those_of_the_action() -> None:
    compiled = compile_config(template_config("ecommerce"))
    assert read(compiled, "view", {"brand": "b"}) is not None
    assert read(compiled, "order", {"brand": "b"}) is None
    assert read(compiled, "order", {"price": None, "currency": "EUR"}) is None
    assert read(compiled, "order", {"price": 1.5, "currency": "EUR"}) is not None
    assert read(compiled, "levitate", {}) is None


@pytest.mark.parametrize("template_id", load_templates())
def test_a_templates_config_compiles_before_anybody_notices(template_id: str) -> None:
    assert _seconds(template_config(template_id, hot_half_life_h=7)) < COMPILED_WITHIN_S


def test_a_config_as_large_as_may_be_compiles_before_anybody_notices() -> None:
    actions = [f"act_{number}" for number in range(200)]
    fields = [
        make_field(f"f{number}", "integer", required=True, required_for=tuple(actions[number : number + 10]))
        for number in range(200)
    ]
    assert _seconds(make_config(fields=fields, actions=actions)) < 10 * COMPILED_WITHIN_S


def _seconds(config: TrackingConfig) -> float:
    """Of processor time, as the machine may be doing other things."""
    start = time.process_time()
    compile_config(config)
    return time.process_time() - start


numbers = st.sampled_from([-1, 0, 1, 0.5, 90, 86_400, 10**12]) | st.floats(-1e6, 1e12)
names = st.sampled_from(["", "a", "b", "x" * 256, "x" * 257])


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "seconds": st.none() | numbers,
            "count": st.none() | st.integers(-5, 2**40),
            "share": st.none() | numbers,
            "first": st.none() | names,
            "second": st.none() | names,
        },
    ),
    st.sampled_from(["seconds", "count", None]),
    st.sampled_from(["s", "ms"]),
    st.sampled_from(["share", None]),
    st.sampled_from([[], ["first"], ["second", "first"]]),
)
def test_the_fast_path_draws_what_the_signals_draw(
    payload: dict[str, Any], dwell: str | None, unit: str, completion: str | None, categories: list[str]
) -> None:
    fields = [make_field(name, "number") for name in ("seconds", "share")] + [make_field("count", "integer")]
    config = make_config(
        fields=fields + [make_field(name, "string") for name in ("first", "second")],
        dwell={"field": dwell, "unit": unit} if dwell else None,
        completion_field=completion,
        category_fields=categories,
    )
    compiled = compile_config(config)
    reading = read(compiled, "click", payload)
    assert reading is not None
    assert reading == (compiled.signals, 1, compiled.signals.draw(payload))
    assert [type(value) for value in msgspec.structs.astuple(reading[2])] == [
        type(value) for value in msgspec.structs.astuple(compiled.signals.draw(payload))
    ]
