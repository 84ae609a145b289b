"""YAML and JSON that can be read in one way only."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracking_configs.plain_text import MAX_DEPTH, parse_json, parse_yaml, yaml_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BOMB = "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else ['lol'] * 9)}]" for n in range(9)
)  # a billion words


@given(VALUES)
@example(
    ["no", "1e5", "017", "0o17", "1:30", "2024-01-01", "<<", "=", "~", ".5", "1_000", ".inf", "\u2028\x85\ufeff\x07"]
)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert parse_yaml(yaml_text({"value": value})) == {"value": value}


@pytest.mark.parametrize("word", ["no", "on", "017", "0x1f", "1:30", "1_000", "2024-01-01", ".inf", ".nan", "<<"])
def test_a_word_that_yaml_1_1_makes_something_else_of_is_text(word: str) -> None:
    assert parse_yaml(f"value: {word}") == {"value": word}


@pytest.mark.parametrize(
    ("word", "value"),
    [("12", 12), ("-0.5", -0.5), (".5", 0.5), ("1e3", 1000.0), ("true", True), ("~", None), ("", None)],
)
def test_a_number_true_and_nothing_are_what_they_are_in_json(word: str, value: Any) -> None:
    assert parse_yaml(f"value: {word}") == {"value": value}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "line 2, column 11: duplicate key 'c'"),
        ("1: a", "line 1, column 1: a key is not text: 1"),
        ("? [a]\n: b", "line 1, column 3: a key is not text"),
        ("a: @b", "line 1, column 4: found character '@'"),
        ("a: 1\n---\nb: 1", "line 2, column 1: but found another document"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: !!timestamp 2024-01-01", "date is not a type of JSON"),
        ("a: !!float .nan", "not a number of JSON"),
        ("a: 1e999", "not a number of JSON"),
        ('a: "\\ud800"', "surrogates"),
        ("a: \x00", "not allowed"),
        ("a: &x [*x]", f"deeper than {MAX_DEPTH}"),
        (BOMB, "more than"),
    ],
)
def test_yaml_that_json_could_not_say_is_an_error_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_deep_yaml_is_an_error_whatever_the_recursion_limit() -> None:
    with pytest.raises(ValueError, match=r"recursion|nested deeper"):
        parse_yaml("[" * 5000 + "]" * 5000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ('{"a": NaN}', "not a number"),
        ('{"a": 1e999}', "not a number"),
        ('{"a": "\\ud800"}', "surrogates"),
        ('{"a": }', "line 1 column 7"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_json_that_is_none_is_an_error(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_json(text)


def test_anchors_say_a_thing_once() -> None:
    assert parse_yaml("a: &kinds [x, y]\nb: *kinds") == {"a": ["x", "y"], "b": ["x", "y"]}
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}
