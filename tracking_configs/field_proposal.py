"""From what was counted of a field to a rule for it, with every decision in words."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tracking_configs.field_checks import ITEM_TYPES
from tracking_configs.field_evidence import MAX_DISTINCT, NOT_JSON, FieldTally
from tracking_configs.template import FieldSpec, Template

MIN_AGREEMENT: Final = 0.9  # share of the values that must have one type
MAX_BROKEN: Final = 0.05  # share of the values that may break the template's rule, which is then said, and stays
MIN_NUMBERS: Final = 20  # values from which a number's bounds are read
MIN_ITEMS: Final = 20  # items from which an item type is read
MIN_STRINGS: Final = 50  # values from which an enum is read
MAX_ENUM: Final = 20  # different values of an enum
MIN_EACH: Final = 3  # times that every value of an enum was seen
MIN_EVENTS: Final = 30  # events from which a field is required for every action
MIN_OF_ACTION: Final = 10  # events of an action from which a field is required for it, or known not to be


@dataclass(slots=True)
class Proposal:
    """A field's rule and how it came about; `spec` is None where no rule is proposed, and `notes` say why.

    `agreeing`: how many of the values have the rule's type.
    """

    spec: FieldSpec | None
    agreeing: int
    notes: list[str] = field(default_factory=list)
    own: bool = True  # False where it is the template's rule


def propose(
    name: str, tally: FieldTally, events: Counter[str], template: Template | None, actions: Collection[str]
) -> Proposal:
    """The rule for one field that was seen.

    `events`: all events, by action; `template`: the scenario's; `actions`: those that `required_for` may name. A
    field of the template keeps its rule unless more than MAX_BROKEN of the values break it: some wrong values are
    what a config is to find. It stays required for the actions named there whose events all carry it. Other fields are
    given what the values themselves say.
    """
    kind, agreeing = agreed_type(tally.types)
    if kind is None:
        return Proposal(None, agreeing, [f"mixed types: {_counts(tally.types)}"])
    notes = []
    if agreeing < tally.seen:
        notes.append(f"{kind} in {agreeing} of {tally.seen} values: the others will warn")
    declared = _declared(name, template)
    if template is None or declared is None:
        spec = _required(_inferred(name, kind, tally, notes), tally, events, actions, notes)
        return Proposal(spec, agreeing, notes)
    kept = _keeps(declared, template, kind, tally, notes)
    spec = declared if kept else _inferred(name, kind, tally, notes, declared.description)
    return Proposal(_still_required(spec, declared, tally, events, notes), agreeing, notes, own=not kept)


def agreed_type(types: Counter[str]) -> tuple[str | None, int]:
    """The type of the field, and how many values have it; None where fewer than MIN_AGREEMENT agree.

    Integers among numbers are numbers.
    """
    counts = Counter(types)
    if counts["number"]:
        counts["number"] += counts.pop("integer", 0)
    kind = max(sorted(counts), key=counts.__getitem__, default=NOT_JSON)
    agreeing = counts[kind]
    agreed = kind != NOT_JSON and agreeing >= MIN_AGREEMENT * counts.total()
    return kind if agreed else None, agreeing


def _declared(name: str, template: Template | None) -> FieldSpec | None:
    return next((spec for spec in template.fields if spec.field_name == name), None) if template else None


def _keeps(spec: FieldSpec, template: Template, kind: str, tally: FieldTally, notes: list[str]) -> bool:
    """Whether the template's rule holds for the values."""
    broken = {code: count for (each, code), count in tally.broken.items() if each == template.id}
    if kind != spec.field_type and (kind, spec.field_type) != ("integer", "number"):
        notes.append(f"template {template.id} declares {spec.field_type}, the values are {kind}: its rule is not kept")
    elif broken:
        said = ", ".join(f"{code} {count} times" for code, count in sorted(broken.items()))
        kept = sum(broken.values()) <= MAX_BROKEN * tally.seen
        then = "they will warn" if kept else "it is not kept"
        notes.append(f"values break the rule of template {template.id} ({said}): {then}")
        return kept
    else:
        notes.append(f"the rule of template {template.id} holds")
        return True
    return False


def _inferred(name: str, kind: str, tally: FieldTally, notes: list[str], description: str = "") -> FieldSpec:
    """A rule that every value of the type keeps."""
    parts: dict[str, Any] = {}
    if kind in ("integer", "number"):
        parts = _bounds(name, kind, tally, notes)
    elif kind == "string":
        parts = _enum(name, tally, notes)
    elif kind in ("array", "object"):
        parts = _items(tally, notes)
    return FieldSpec(field_name=name, field_type=kind, description=description, **parts)


def _bounds(name: str, kind: str, tally: FieldTally, notes: list[str]) -> dict[str, Any]:
    """At least 0 where no value is negative. A maximum only where it is plain what it is.

    That is 1 for fractions that all lie in 0 to 1, and 100 for what calls itself per cent: the largest value of
    a sample says nothing about the next.
    """
    low, high, count = tally.low, tally.high, tally.types["integer"] + tally.types["number"]
    if low is None or high is None or low < 0 or count < MIN_NUMBERS:
        return {}
    if kind == "number" and high <= 1:
        notes.append(f"all {count} values lie in 0 to 1, fractions among them: a share")
        return {"min_value": 0, "max_value": 1}
    if high <= 100 and name.endswith(("_pct", "_percent", "percentage")):
        notes.append(f"all {count} values lie in 0 to 100, and the name says per cent")
        return {"min_value": 0, "max_value": 100}
    notes.append(f"none of {count} values is negative; a maximum is not guessed")
    return {"min_value": 0}


def _enum(name: str, tally: FieldTally, notes: list[str]) -> dict[str, Any]:
    """An enum of what was seen, where few different values come again and again. Ids are never an enum."""
    values = {value: count for value, count in tally.values.items() if isinstance(value, str)}
    count = tally.types["string"]
    few = not tally.crowded and not tally.unlisted and 2 <= len(values) <= MAX_ENUM
    if not few or count < MIN_STRINGS or min(values.values()) < MIN_EACH or name.split("_")[-1] in ("id", "ids"):
        return {}
    notes.append(f"{len(values)} different values in {count}, each at least {min(values.values())} times: an enum")
    return {"enum_values": tuple(sorted(values, key=lambda value: (-values[value], value)))}


def _items(tally: FieldTally, notes: list[str]) -> dict[str, Any]:
    """The one type of all items, integers among numbers being numbers; none where they differ or are few."""
    kind, agreeing = agreed_type(tally.items)
    count = tally.items.total()
    if kind not in ITEM_TYPES or agreeing < count or count < MIN_ITEMS:
        notes.append(f"items of any type: {_counts(tally.items) or 'none'} seen")
        return {}
    notes.append(f"all {count} items are of type {kind}")
    return {"item_type": kind}


def _required(
    spec: FieldSpec, tally: FieldTally, events: Counter[str], actions: Collection[str], notes: list[str]
) -> FieldSpec:
    """Required where every event carries it; required_for where every event of some actions does, of others not."""
    if tally.seen == events.total():
        if tally.seen < MIN_EVENTS:
            return spec
        notes.append(f"in all {tally.seen} events: required")
        return msgspec.structs.replace(spec, required=True)
    enough = sorted(action for action, count in events.items() if count >= MIN_OF_ACTION)
    always = tuple(action for action in enough if action in actions and tally.by_action[action] == events[action])
    if not always or all(tally.by_action[action] == events[action] for action in enough):
        return spec
    notes.append(f"in all events of {', '.join(always)}, not of others: required for these")
    return msgspec.structs.replace(spec, required=True, required_for=always)


def _still_required(
    spec: FieldSpec, declared: FieldSpec, tally: FieldTally, events: Counter[str], notes: list[str]
) -> FieldSpec:
    """Required as the template says, but for actions with an event that lacks the field."""
    if declared.required and not declared.required_for:
        required, lacking = tally.seen == events.total(), ["some events"]
        kept: tuple[str, ...] = ()
    else:
        lacking = [action for action in declared.required_for if tally.by_action[action] < events[action]]
        kept = tuple(action for action in declared.required_for if action not in lacking)
        required = bool(kept)
    if declared.required and (not required or kept != declared.required_for):
        notes.append(f"the template requires it, but it is missing in events of {', '.join(lacking)}")
    return msgspec.structs.replace(spec, required=required, required_for=kept)


def distinct_of(tally: FieldTally) -> int:
    """How many different strings and numbers there were; MAX_DISTINCT stands for as many or more."""
    return MAX_DISTINCT if tally.crowded else len(tally.values)


def _counts(types: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(types.items(), key=lambda pair: (-pair[1], pair[0])))
