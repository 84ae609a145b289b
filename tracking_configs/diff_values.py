"""What a change of one field's rules means for its values. The rules themselves are `field_rules.py`."""

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from schemas.limits import INT64_MAX, INT64_MIN
from tracking_configs.change import Detail, Effect, Verdict, Voice, detail, listed
from tracking_configs.compiler import matcher
from tracking_configs.field_rules import explain_field, shortened
from tracking_configs.model import FieldSpec

_NUMERIC: Final = frozenset({"integer", "number"})
_SHOWN: Final = 100  # characters of a pattern that a sentence repeats


def value_details(old: FieldSpec, new: FieldSpec, path: str, voice: Voice) -> Iterator[Detail]:
    """Every change of the values that the field takes; of values whose type changes, only that."""
    if old.field_type != new.field_type:
        yield detail(f"{path}.field_type", _retyping(old.field_type, new.field_type, "values", voice))
        if {old.field_type, new.field_type} != _NUMERIC:
            return
    if old.enum_values is not None or new.enum_values is not None:
        yield from _enum_details(old, new, path, voice)  # beside an enum no other rule stands
        return
    if old.field_type in _NUMERIC:
        yield from _limit_details(old, new, path, "value", voice)
    else:
        yield from _limit_details(old, new, path, "length", voice)
    if old.pattern != new.pattern:
        yield detail(f"{path}.pattern", _pattern_effect(old.pattern, new.pattern, voice))
    if old.item_type != new.item_type:
        yield detail(f"{path}.item_type", _retyping(old.item_type, new.item_type, "items", voice))


def _retyping(old: str | None, new: str | None, what: str, voice: Voice) -> Effect:
    """None stands for any type."""
    if new is None:
        return voice.admits(f"{what} of another type than {old}")
    if old is None:
        return voice.refuses(f"{what} of another type than {new}")
    if {old, new} == _NUMERIC:
        change = voice.admits if new == "number" else voice.refuses
        return change(f"{what} with a fraction")
    return voice.refuses(f"{what} of type {old}")


def _pattern_effect(old: str | None, new: str | None, voice: Voice) -> Effect:
    if new is None:
        return voice.admits(f"texts that do not match {shortened(old or '', _SHOWN)}")
    return voice.refuses(f"texts that {'do' if old is None else 'may'} not match {shortened(new, _SHOWN)}")


class _Span(NamedTuple):
    """The numbers from `low` to `high`, both taken; `floor` and `ceiling` are where the type itself ends."""

    low: float
    high: float
    floor: float
    ceiling: float

    def below(self, other: "_Span") -> str:
        """Those that lie below the other span, in words; "" where none do."""
        if self.low >= other.low:
            return ""
        start = f"from {self.low}" if self.low > self.floor else ""
        if self.high < other.low:
            return f"{start} up to {self.high}".strip()
        return f"{start} but below {other.low}" if start else f"below {other.low}"

    def above(self, other: "_Span") -> str:
        """Those that lie above the other span, in words; "" where none do."""
        if self.high <= other.high:
            return ""
        start = f"from {self.low}" if self.low > other.high else f"above {other.high}"
        return f"{start} up to {self.high}" if self.high < self.ceiling else start


def _span(field: FieldSpec, measure: str) -> _Span:
    floor, ceiling = {
        "integer": (INT64_MIN, INT64_MAX),
        "number": (-math.inf, math.inf),
    }.get(field.field_type, (0, math.inf))
    low, high = getattr(field, f"min_{measure}"), getattr(field, f"max_{measure}")
    return _Span(floor if low is None else low, ceiling if high is None else high, floor, ceiling)


def _limit_details(old: FieldSpec, new: FieldSpec, path: str, measure: str, voice: Voice) -> Iterator[Detail]:
    """`measure` is what is limited: the value, or the length."""
    before, after = _span(old, measure), _span(new, measure)
    what = "values" if measure == "value" else f"{old.field_type}s of length"
    low, high = f"min_{measure}", f"max_{measure}"
    if getattr(old, low) != getattr(new, low):
        yield detail(f"{path}.{low}", *_moves(what, before.below(after), after.below(before), voice))
    if getattr(old, high) != getattr(new, high):
        yield detail(f"{path}.{high}", *_moves(what, before.above(after), after.above(before), voice))


def _moves(what: str, lost: str, gained: str, voice: Voice) -> Iterator[Effect]:
    if lost:
        yield voice.refuses(f"{what} {lost}")
    if gained:
        yield voice.admits(f"{what} {gained}")


def _enum_details(old: FieldSpec, new: FieldSpec, path: str, voice: Voice) -> Iterator[Detail]:
    before, after = _own_values(old), _own_values(new)
    if old.enum_values is None:
        yield detail(f"{path}.enum_values", voice.refuses(f"values other than {listed(after)}"))
        return
    if new.enum_values is None:
        yield detail(f"{path}.enum_values", *_unlisting(before, new, voice))
        return
    if old.enum_values != new.enum_values:
        yield detail(f"{path}.enum_values", *_listing(old.enum_values, new.enum_values, before, after, voice))
    if old.enum_aliases != new.enum_aliases:
        effects = list(_listing(old.enum_aliases, new.enum_aliases, before, after, voice))
        if moved := [value for value in before if after.get(value, before[value]) != before[value]]:
            effects.append(Effect(Verdict.COMPATIBLE, f"{listed(moved)} will be stored as another value than before"))
        yield detail(f"{path}.enum_aliases", *effects)


def _own_values(field: FieldSpec) -> dict[Any, Any]:
    """Every spelling that the enum takes, and the value that it is stored as."""
    return {**{value: value for value in field.enum_values or ()}, **field.enum_aliases}


def _listing(old: Any, new: Any, before: dict[Any, Any], after: dict[Any, Any], voice: Voice) -> Iterator[Effect]:
    """`old` and `new` are the part that changed, `before` and `after` all that is taken."""
    if gone := [value for value in old if value not in after]:
        yield voice.refuses(f"the values {listed(gone)}")
    if come := [value for value in new if value not in before]:
        yield voice.admits(f"the values {listed(come)}")


def _unlisting(before: dict[Any, Any], new: FieldSpec, voice: Voice) -> Iterator[Effect]:
    matches = matcher(new.pattern) if new.pattern is not None else None
    if gone := [value for value in before if any(explain_field(new, value, "", required=True, matches=matches))]:
        yield voice.refuses(f"the values {listed(gone)}")
    yield Effect(Verdict.WIDENING, f"values outside the list {voice.before}; now only type and limits count")
