"""The checks of a field's parts, on parts that nobody would write."""

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.tracking_configs.factories import accepted, at_door, encode, make_registry
from tracking_configs.checks import check_config
from tracking_configs.errors import InvalidConfigError
from tracking_configs.field_checks import FIELD_TYPES, ITEM_TYPES, field_problems
from tracking_configs.judge import Judge
from tracking_configs.model import config_of, parse_draft
from tracking_configs.template import FieldSpec

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
texts = st.sampled_from(["", "a", "^a+$", "(", "0", "é"]) | st.text(max_size=5)
numbers = st.integers(-3, 3) | st.floats() | st.integers()
fields = st.fixed_dictionaries(
    {"field_name": st.just("f"), "field_type": st.sampled_from(FIELD_TYPES)},
    optional={
        "required_for": st.lists(st.sampled_from(["skip", "park"]), max_size=2),
        "min_value": numbers,
        "max_value": numbers,
        "min_length": st.integers(-1, 3) | st.integers(),
        "max_length": st.integers(-1, 3) | st.integers(),
        "pattern": texts,
        "enum_values": st.lists(json_values | texts | st.integers(0, 3), max_size=3),
        "enum_aliases": st.dictionaries(texts, texts, max_size=2),
        "item_type": st.sampled_from([*ITEM_TYPES, "array"]),
        "default": json_values | texts,
    },
)


@given(fields, json_values)
def test_a_field_is_refused_with_words_or_judges_any_value(field: dict[str, Any], value: Any) -> None:
    named = {"tenant_id": "acme", "scenario_id": "s", "scenario_type": "custom", "name": "S", "actions": ["park"]}
    with suppress(InvalidConfigError):
        draft = parse_draft(named | {"optional_fields": [field]})
        check_config(draft)
        judge = Judge(make_registry(config_of(draft, version=1, created_at=0, updated_at=0)))
        event = {"tenant_id": "acme", "scenario_id": "s", "user_id": "u", "item_id": "i", "action_type": "park"}
        data = {"context": {"device_type": "pc"}, "scenario_data": {"custom_data": {"f": value}}}
        accepted(judge.judge(encode(event | data), at_door()))


def test_an_enum_where_none_belongs_is_named_whatever_the_default() -> None:
    field = FieldSpec(field_name="f", field_type="array", enum_values=({},), default=[1])
    assert [problem.field for problem in field_problems(field)] == ["enum_values", "enum_values"]
