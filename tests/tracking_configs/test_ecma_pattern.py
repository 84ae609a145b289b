"""Patterns of RE2 in JSON Schema mean the same, or are left out."""

import re

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracking_configs.factories import make_config, make_field
from tracking_configs.ecma_pattern import ecma_pattern
from tracking_configs.field_checks import compile_pattern
from tracking_configs.json_schema import event_schema

ATOMS = ("a", "b", "7", "_", r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", ".", "[a-c]", r"[^a\d]", r"[\w-]", r"\.", "é")
REPEATS = ("", "", "*", "+", "?", "{2}", "{1,3}", "+?")
TEXTS = st.text(st.sampled_from("abz79_ \n\r\té日.-İ\u2028"), max_size=6)

atoms = st.builds(lambda atom, repeat: atom + repeat, st.sampled_from(ATOMS), st.sampled_from(REPEATS))
sequences = st.lists(atoms, min_size=1, max_size=4).map("".join)
patterns = st.builds(
    lambda start, left, right, end: f"{start}(?:{left}|({right})){end}",
    st.sampled_from(["", "^", r"\A"]),
    sequences,
    sequences,
    st.sampled_from(["", "$", r"\z"]),
)


@settings(max_examples=500, deadline=None)
@given(patterns, TEXTS)
def test_the_same_texts_match(pattern: str, text: str) -> None:
    translated = ecma_pattern(pattern)
    assert translated is not None
    assert (re.search(translated, text) is not None) == (compile_pattern(pattern).search(text) is not None)


@pytest.mark.parametrize(
    "pattern", [r"\p{Han}", "(?i)^abc$", "(?P<name>a)", "[[:alpha:]]", r"\Qa.b\E", r"\pN", r"[\pN]", "(?s).", r"\x41"]
)
def test_what_only_re2_has_is_left_out_of_the_schema_and_said(pattern: str) -> None:
    compile_pattern(pattern)
    assert ecma_pattern(pattern) is None
    config = make_config(fields=[make_field("word", "string", pattern=pattern)])
    schema = event_schema(config)["properties"]["scenario_data"]["properties"]["custom_data"]["properties"]["word"]
    assert "pattern" not in schema
    assert pattern in schema["$comment"]
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("pattern", "text"), [(r"^\w+$", "日本"), (r"^\w+$", "a\n"), ("^.$", "\r")])
def test_the_schema_says_what_the_judge_says_of_a_pattern(pattern: str, text: str) -> None:
    config = make_config(fields=[make_field("word", "string", pattern=pattern)])
    schema = event_schema(config)["properties"]["scenario_data"]["properties"]["custom_data"]["properties"]["word"]
    found = compile_pattern(pattern).search(text) is not None
    assert jsonschema.Draft202012Validator(schema).is_valid(text) == found
