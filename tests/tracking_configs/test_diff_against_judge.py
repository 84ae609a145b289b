"""The verdict on a change against the judge: no event contradicts it, and a breaking one has an event to show."""

from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.tracking_configs.event_strategies import ACTIONS, PATTERNS, WORDS, configs, fields, values
from tests.tracking_configs.factories import make_config
from tests.tracking_configs.test_diff import (
    BREAKING,
    COMPATIBLE,
    WIDENING,
    WORSE,
    Outcome,
    an_event,
    declaring,
    outcomes_under,
    replaced,
)
from tracking_configs.checks import check_config
from tracking_configs.diff import Change, compare
from tracking_configs.errors import InvalidConfigError
from tracking_configs.field_checks import field_problems
from tracking_configs.field_rules import explain_field
from tracking_configs.model import FieldSpec, TrackingConfig, draft_of

SOME_ITEMS: Final[tuple[Any, ...]] = (1, 1.5, "a", True, {}, None, 2**64)
POOL: Final[list[Any]] = [  # around every limit that `fields` draws
    *(None, True, *WORDS, "standard", *("x" * length for length in range(6))),
    *(*range(-4, 8), -0.5, 0.25, 0.5, 1.5, 2.5, 2.75, 1e300, -1e300, 2**63, -(2**63), 2**63 - 1),
    *([item] * length for item in SOME_ITEMS for length in range(5)),
    *({"k": item} for item in SOME_ITEMS),
]
LIMITS: Final = st.none() | st.integers(-3, 6)
LENGTHS: Final = st.none() | st.integers(0, 4)
ITEM_TYPES: Final = st.sampled_from([None, "integer", "number", "string", "object"])
WHO: Final = {"required": st.booleans(), "required_for": st.sampled_from([(), ACTIONS[:1], ACTIONS[:2], ACTIONS[1:]])}
RULES: Final[dict[str, dict[str, st.SearchStrategy[Any]]]] = {
    "integer": {
        "min_value": LIMITS,
        "max_value": LIMITS,
        "enum_values": st.sampled_from([(0, 1, 3), (1, 3), (0, 1, 2)]),
    },
    "number": {"min_value": LIMITS, "max_value": LIMITS, "field_type": st.just("integer")},
    "string": {
        "min_length": LENGTHS,
        "max_length": LENGTHS,
        "pattern": st.sampled_from([None, *PATTERNS]),
        "enum_values": st.sampled_from([None, ("a", "standard"), ("standard", "B"), ("标准", "standard")]),
        "enum_aliases": st.sampled_from([{}, {"标准": "standard"}, {"ß": "standard"}]),
    },
    "array": {"min_length": LENGTHS, "max_length": LENGTHS, "item_type": ITEM_TYPES},
    "object": {"item_type": ITEM_TYPES},
    "boolean": {},
}
EVERY_EVENT: Final = [an_event(action, x=value) for action in ACTIONS for value in POOL]
EVENTS_WITHOUT_IT: Final = [an_event(action) for action in ACTIONS]


def contradicts(change: Change, before: Outcome, after: Outcome) -> bool:
    """Whether one event's two outcomes are what the verdict excludes."""
    if change.verdict is COMPATIBLE:
        return before != after
    return change.verdict is WIDENING and (before.word, after.word) in WORSE


def has_no_sure_witness(old: FieldSpec, new: FieldSpec | None) -> bool:
    """Where `compare` says breaking to be safe (see `diff.py`), or the old rules took one value only."""
    if old.pattern is not None or new is None:
        return old.pattern is not None
    one_value = (old.min_value, old.min_length) == (old.max_value, old.max_length) != (None, None)
    new_enum = old.enum_values is None and new.enum_values is not None
    empty_arrays = old.max_length == 0 and old.item_type != new.item_type
    return new.pattern is not None or one_value or new_enum or empty_arrays


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(["warn", "reject"]))
def test_a_change_of_one_field_is_breaking_where_an_event_flips_and_nowhere_else(
    data: st.DataObject, enforcement: str
) -> None:
    old_field = data.draw(fields("x"))
    new_field = data.draw(revised(old_field) | revised(old_field) | fields("x") | st.none())
    old = declaring(old_field, actions=["spin"], enforcement=enforcement)
    new = declaring(*([new_field] if new_field else []), actions=["spin"], enforcement=enforcement)
    change = compare(old, new)
    before, after = outcomes_under(old), outcomes_under(new)
    outcomes = [(before(event), after(event)) for event in EVERY_EVENT + EVENTS_WITHOUT_IT]
    assert not any(contradicts(change, *each) for each in outcomes), change
    if change.verdict is BREAKING and not has_no_sure_witness(old_field, new_field):
        assert any((was.word, becomes.word) in WORSE for was, becomes in outcomes), change


@st.composite
def revised(draw: st.DrawFn, field: FieldSpec) -> FieldSpec:
    """The field with one or two parts changed, or another one where that makes no field."""
    parts = WHO | RULES[field.field_type]
    names = draw(st.sets(st.sampled_from(sorted(parts)), min_size=1, max_size=2))
    mixed = msgspec.structs.replace(field, **{name: draw(parts[name]) for name in sorted(names)})
    return draw(fields(field.field_name)) if list(field_problems(mixed)) else mixed


@st.composite
def revisions(draw: st.DrawFn, config: TrackingConfig) -> TrackingConfig:
    """A later version: some fields other, gone or new, and now and then other actions, another enforcement."""

    def now_and_then(usual: Any, *others: Any) -> Any:
        return draw(st.sampled_from([usual] * 4 + list(others)))

    kept = [now_and_then(field, None, draw(revised(field))) for field in config.fields]
    further = now_and_then(None, draw(fields("f1")))
    changed = make_config(
        scenario_type=now_and_then(config.scenario_type, "news"),
        fields=[field for field in (*kept, further) if field is not None],
        actions=now_and_then(["spin"], [], ["spin", "binge"], ["spin", "purchase"]),
        enforcement=now_and_then("warn", "reject"),
        version=2,
    )
    try:
        check_config(draft_of(changed))
    except InvalidConfigError:  # a field is required for an action that is gone
        assume(False)
    return replaced(changed, is_active=now_and_then(True, True, True, False))


@st.composite
def payloads(draw: st.DrawFn, *versions: TrackingConfig) -> dict[str, Any]:
    """Mostly of values that one of the versions finds right, so that many events are clean."""
    payload: dict[str, Any] = {}
    for field in draw(st.sampled_from(versions)).fields:
        right = [value for value in POOL if not any(explain_field(field, value, "", required=True))]
        payload[field.field_name] = draw(st.sampled_from(right) | st.sampled_from(right) | values if right else values)
    payload.pop(draw(st.sampled_from(["", *payload])), None)
    return payload | draw(st.sampled_from([{}, {}, {}, {"undeclared": 1}]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configs(), st.data())
def test_no_event_contradicts_the_verdict(config: TrackingConfig, data: st.DataObject) -> None:
    old = replaced(config, enforcement=data.draw(st.sampled_from(["warn", "reject"])))
    new = data.draw(revisions(old))
    if data.draw(st.booleans()):
        old, new = new, old
    change = compare(old, new)
    before, after = outcomes_under(old), outcomes_under(new)
    for _ in range(8):
        action = data.draw(st.sampled_from([*ACTIONS, "purchase", "binge", "levitate"]))
        kind = data.draw(st.sampled_from([old.scenario_type] * 4 + [new.scenario_type, "music"]))
        event = an_event(action, kind, **data.draw(payloads(old, new)))
        assert not contradicts(change, before(event), after(event)), (change, event, before(event), after(event))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configs(), st.data())
def test_nothing_changes_between_equals_and_compatible_holds_both_ways(
    old: TrackingConfig, data: st.DataObject
) -> None:
    new = data.draw(revisions(old))
    assert compare(old, old) == Change(COMPATIBLE, ())
    forth, back = compare(old, new), compare(new, old)
    assert (forth.verdict is COMPATIBLE) == (back.verdict is COMPATIBLE)
    assert sorted(each.field for each in forth.details) == sorted(each.field for each in back.details)
