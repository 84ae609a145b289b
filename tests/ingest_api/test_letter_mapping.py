"""Mending dead letters: what a mapping does, what it leaves alone, and how it is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.event_text import EventText, NotMendableError
from ingest_api.letter_mapping import InvalidMappingError, Mapping, mapping_of, mend, parse_mapping

ARRIVED = 1_760_000_000_123
names = st.sampled_from(["a", "b", "c", "é", "x y"])
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
documents = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(names, inner)))
bodies = st.dictionaries(names, documents, max_size=5)
casts = st.sampled_from(["integer", "number", "string", "boolean", "ms_from_s"])


def mended(body: Any, *rules: dict[str, Any], reasons: tuple[str, ...] = (), scenario: str | None = None) -> Any:
    mapping = mapping_of({"rules": list(rules)})
    value = mend(msgspec.json.encode(body), mapping, reasons=reasons, scenario=scenario, arrived=ARRIVED)
    return msgspec.json.decode(value)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted path -> what stands there, of everything that is no object with members."""
    if isinstance(value, dict) and value:
        return {
            found: leaf
            for name, child in value.items()
            for found, leaf in leaves(child, f"{path}.{name}" if path else name).items()
        }
    return {path: value}


def is_touched(path: str, named: set[str]) -> bool:
    """Whether a path is one of those named, lies below one, or leads to one."""
    return not path or any(f"{path}.".startswith(f"{each}.") or f"{each}.".startswith(f"{path}.") for each in named)


@given(bodies, paths, paths, paths, paths, casts, scalars)
def test_a_rule_touches_only_the_fields_it_names(
    body: dict[str, Any], source: str, target: str, gone: str, other: str, cast: str, default: Any
) -> None:
    rule: dict[str, Any] = {"drop": [gone], "cast": {other: cast}, "defaults": {other: default}}
    rule["values"] = {other: {"true": 1, "a": "b"}}
    named = {gone, other}
    if not f"{target}.".startswith(f"{source}."):
        rule["rename"] = {source: target}
        named |= {source, target}
    value = EventText(exactly(body)).encode()
    after = mend(exactly(body), mapping_of({"rules": [rule]}), reasons=(), scenario=None, arrived=ARRIVED)
    before = {path: leaf for path, leaf in leaves(exact(value)).items() if not is_touched(path, named)}
    assert {path: leaf for path, leaf in leaves(exact(after)).items() if not is_touched(path, named)} == before


def exactly(body: Any) -> bytes:
    """Its JSON text, whatever the size of its integers."""
    return json.dumps(body, ensure_ascii=False).encode()


def exact(value: bytes) -> Any:
    """The value with its numbers as the text they are."""
    return json.loads(value, parse_float=lambda text: ("float", text), parse_int=lambda text: ("int", text))


@given(bodies)
def test_a_letter_that_no_rule_fits_is_not_touched_at_all(body: dict[str, Any]) -> None:
    value = b" " + exactly(body)
    mapping = mapping_of({"rules": [{"when": {"reason": "too_deep"}, "drop": ["a"]}]})
    assert mend(value, mapping, reasons=("missing",), scenario="s", arrived=1) is value
    assert mend(value, None, reasons=("missing",), scenario="s", arrived=1) is value


def test_the_parts_of_a_rule_follow_each_other() -> None:
    rule = {
        "rename": {"uid": "user_id", "dev": "context.device_type"},
        "drop": ["debug", "context.junk", "no.such"],
        "values": {"action_type": {"7": "click"}, "context.device_type": {"phone": "mobile"}},
        "cast": {"user_id": "string", "item_id": "string"},
        "defaults": {"timestamp": "$arrival", "scenario_id": "feed", "context.os": "iOS"},
    }
    body = {
        "uid": 17,
        "dev": "phone",
        "debug": [1],
        "action_type": 7,
        "item_id": 1.5,
        "context": {"junk": 1, "n": None},
    }
    assert mended(body, rule) == {
        "user_id": "17",
        "action_type": "click",
        "item_id": "1.5",
        "context": {"n": None, "device_type": "mobile", "os": "iOS"},
        "timestamp": ARRIVED,
        "scenario_id": "feed",
    }


def test_rules_are_for_their_reason_and_scenario() -> None:
    by_reason = {"when": {"reason": "missing"}, "defaults": {"a": 1}}
    by_both = {"when": {"reason": "wrong_type", "scenario": "feed"}, "defaults": {"b": 2}}
    assert mended({}, by_reason, by_both, reasons=("missing", "wrong_type"), scenario="feed") == {"a": 1, "b": 2}
    assert mended({}, by_reason, by_both, reasons=("wrong_type",), scenario="other") == {}


@pytest.mark.parametrize(
    ("body", "rename"),
    [
        ({"a": 1, "b": 2}, {"a": "b"}),  # something stands at the target
        ({"a": 1, "b": 2}, {"a": "b.c"}),  # something stands in the way
        ({"b": {"c": 1}}, {"a": "b.d"}),  # there is nothing to move
        ({"a": 1}, {"a.x": "c"}),
        ({"a": {"b": 1}}, {"a.b": "a"}),
    ],
)
def test_what_cannot_be_moved_stays(body: dict[str, Any], rename: dict[str, str]) -> None:
    assert mended(body, {"rename": rename}) == body


@pytest.mark.parametrize(
    ("cast", "value", "turned"),
    [
        ("integer", "12", 12),
        ("integer", 12.0, 12),
        ("integer", "12.5", "12.5"),
        ("integer", "1e400", "1e400"),
        ("integer", "9" * 31, "9" * 31),
        ("integer", 2**63, 2**63),
        ("integer", True, True),
        ("number", "1.5", 1.5),
        ("number", "nan", "nan"),
        ("number", "one", "one"),
        ("string", 7, "7"),
        ("string", False, "false"),
        ("string", [7], [7]),
        ("boolean", "True", True),
        ("boolean", 0, False),
        ("boolean", "yes", "yes"),
        ("ms_from_s", 1_760_000_000, 1_760_000_000_000),
        ("ms_from_s", "1760000000.5", 1_760_000_000_500),
        ("ms_from_s", None, None),
    ],
)
def test_a_cast_turns_what_it_can_and_leaves_the_rest(cast: str, value: Any, turned: Any) -> None:
    after = mended({"x": value}, {"cast": {"x": cast}})["x"]
    assert (after, type(after)) == (turned, type(turned))


@pytest.mark.parametrize("value", [b"", b"{", b"[1]", b"7", b'{"a": "\xff"}', b'{"a":' * 5000 + b"1" + b"}" * 5000])
def test_what_is_no_object_cannot_be_mended(value: bytes) -> None:
    with pytest.raises(NotMendableError, match="no JSON object"):
        mend(value, mapping_of({"rules": [{"drop": ["a"]}]}), reasons=(), scenario=None, arrived=1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: []", "length >= 1"),
        ("", "Expected `object`"),
        ("rules:\n- drop: a", "Expected `array`"),
        ("rules:\n- droop: [a]", "unknown field `droop`"),
        ("rule: []", "unknown field `rule`"),
        ("rules:\n- when: {reasons: missing}", "unknown field `reasons`"),
        ("rules:\n- when: {reason: bad_luck}", "bad_luck"),
        ("rules:\n- cast: {a: date}", "date"),
        ("rules:\n- drop: [a..b]", "matching regex"),
        ("rules:\n- rename: {a: a.b}", "cannot be moved into itself"),
        ("rules:\n- drop: [a]\n  drop: [b]", "duplicate key"),
        ("rules: [", "line 1"),
    ],
)
def test_a_mapping_that_says_something_else_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidMappingError, match=says.replace("[", r"\[")):
        parse_mapping(text)


def test_yaml_and_json_are_the_same_mapping() -> None:
    text = (
        'rules:\n- when: {reason: missing}\n  values: {action_type: {"7": click, watch: play}}\n  cast: {a.b: string}\n'
    )
    mapping = parse_mapping(text)
    assert isinstance(mapping, Mapping)
    assert mapping_of(msgspec.to_builtins(mapping)) == mapping
