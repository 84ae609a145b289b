"""What sample events say, counted: the evidence from which `suggest.py` proposes a config.

Samples are raw traffic: anything may be wrong or missing in them. Whatever comes, what is kept stays small; beyond
the bounds named here, which names are counted depends on the order of the samples, and only then.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from sys import float_info
from typing import Any, Final

from schemas.limits import INT64_MAX, INT64_MIN
from schemas.verdict import Code
from tracking_configs.base import payload_keys
from tracking_configs.compiler import matcher
from tracking_configs.field_checks import is_name
from tracking_configs.field_rules import Matcher, explain_field, is_a
from tracking_configs.template import FieldSpec, load_templates

MAX_NAMES: Final = 1000  # fields counted, those of different payload keys apart
MAX_ACTIONS: Final = 200
MAX_STRANGE: Final = 100  # names that are not legal, of each kind
MAX_DISTINCT: Final = 100  # different values counted for each field
MAX_LISTED: Final = 64  # characters of a string that is counted as it is; longer ones count by their beginning

OTHER_ACTION: Final = ""  # stands for actions that are no name, or too many
STRANGE_KEY: Final = ""  # stands for payload keys that no scenario has
NOT_JSON: Final = "other"

Payload = Mapping[Any, Any]


def type_of(value: Any) -> str:
    """The narrowest field type that takes the value: 3.0 is an integer, one of more than 64 bits a number.

    NOT_JSON for null, for numbers that are not finite and for strings that are no Unicode.
    """
    if type(value) in (int, float):
        if INT64_MIN <= value <= INT64_MAX and is_a("integer", value):
            return "integer"
        return "number" if abs(value) <= float_info.max else NOT_JSON
    if isinstance(value, str):
        return "string" if value.isascii() or _is_unicode(value) else NOT_JSON
    return next((name for name in ("boolean", "array", "object") if is_a(name, value)), NOT_JSON)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(slots=True)
class FieldTally:
    """One field, counted over the events that carry it. An event that has it as null does not carry it.

    `items`: the types of its arrays' items or objects' values. `values`: its strings and numbers, none where
    `crowded` says that there are more than MAX_DISTINCT. `unlisted`: a string is too long or too strange for an
    enum. `broken`: how many values of a template's own type break its rule, by (template, code).
    """

    seen: int = 0
    types: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    by_action: Counter[str] = field(default_factory=Counter)
    values: Counter[Any] = field(default_factory=Counter)
    broken: Counter[tuple[str, Code]] = field(default_factory=Counter)
    crowded: bool = False
    unlisted: bool = False
    low: int | float | None = None
    high: int | float | None = None

    def add(self, name: str, value: Any, action: str) -> None:
        kind = type_of(value)
        self.seen += 1
        self.types[kind] += 1
        self.by_action[action] += 1
        if kind == "string":
            self.unlisted = self.unlisted or len(value) > MAX_LISTED or not value.isprintable()
            self._count(value[:MAX_LISTED])
        elif kind in ("integer", "number"):
            number = int(value) if kind == "integer" else float(value)
            self.low = number if self.low is None else min(self.low, number)
            self.high = number if self.high is None else max(self.high, number)
            self._count(number)
        elif kind in ("array", "object"):
            self.items.update(map(type_of, _items_of(value)))
        if kind != NOT_JSON:
            self.broken.update(_broken_rules(name, value))

    def merge(self, other: "FieldTally") -> None:
        self.seen += other.seen
        for part in ("types", "items", "by_action", "values", "broken"):
            getattr(self, part).update(getattr(other, part))
        self.crowded = self.crowded or other.crowded
        self.unlisted = self.unlisted or other.unlisted
        self.low = min((low for low in (self.low, other.low) if low is not None), default=None)
        self.high = max((high for high in (self.high, other.high) if high is not None), default=None)
        self._bound()

    def _count(self, value: Any) -> None:
        if not self.crowded:
            self.values[value] += 1
            self._bound()

    def _bound(self) -> None:
        if self.crowded or len(self.values) > MAX_DISTINCT:
            self.crowded = True
            self.values.clear()


@dataclass(slots=True)
class Tally:
    """Events counted by action, and the fields of their payloads."""

    events: Counter[str] = field(default_factory=Counter)
    fields: dict[str, FieldTally] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.events.total()

    def merge(self, other: "Tally") -> None:
        self.events.update(other.events)
        for name, tally in other.fields.items():
            self.fields.setdefault(name, FieldTally()).merge(tally)


class Evidence:
    """All samples, counted.

    `by_key`: for each payload key the events that have it, None for those without `scenario_data`. `skipped`: the
    samples that are no event, by what is wrong with them. The `strange_` names are not legal ones, shortened.
    """

    def __init__(self, samples: Iterable[Mapping[str, Any]]) -> None:
        self.by_key: dict[str | None, Tally] = {}
        self.skipped: Counter[str] = Counter()
        self.strange_fields: Counter[str] = Counter()
        self.strange_actions: Counter[str] = Counter()
        self.strange_keys: Counter[str] = Counter()
        self.uncounted = 0  # values of fields beyond MAX_NAMES
        self._room = MAX_NAMES
        self._actions: set[str] = set()
        for sample in samples:
            self._add(sample)

    def tally_of(self, *keys: str | None) -> Tally:
        """The events with one of these payload keys, together."""
        merged = Tally()
        for key in keys:
            merged.merge(self.by_key.get(key, Tally()))
        return merged

    def _add(self, sample: Any) -> None:
        if not isinstance(sample, Mapping):
            self.skipped["not an object"] += 1
            return
        action, data = sample.get("action_type"), sample.get("scenario_data")
        if not isinstance(action, str):
            self.skipped["without an action_type"] += 1
        elif data is None:
            self._add_event(action, None, {})
        elif isinstance(data, dict) and len(data) == 1 and isinstance(payload := next(iter(data.values())), dict):
            self._add_event(action, next(iter(data)), payload)
        else:
            self.skipped["whose scenario_data is not one object under one key"] += 1

    def _add_event(self, action: str, key: Any, payload: Payload) -> None:
        if key is not None and (not isinstance(key, str) or key not in payload_keys()):
            _count_strange(self.strange_keys, key)
            key = STRANGE_KEY
        action = self._own_action(action)
        tally = self.by_key.setdefault(key, Tally())
        tally.events[action] += 1
        for name, value in payload.items():
            if (found := tally.fields.get(name) or self._new_field(tally, name)) and value is not None:
                found.add(name, value, action)

    def _own_action(self, action: str) -> str:
        if action not in self._actions:
            if not _is_own_name(action) or len(self._actions) == MAX_ACTIONS:
                _count_strange(self.strange_actions, action)
                return OTHER_ACTION
            self._actions.add(action)
        return action

    def _new_field(self, tally: Tally, name: Any) -> FieldTally | None:
        if not self._room:
            self.uncounted += 1
        elif not _is_own_name(name):
            _count_strange(self.strange_fields, name)
        else:
            self._room -= 1
            tally.fields[name] = FieldTally()
        return tally.fields.get(name)


def _broken_rules(name: str, value: Any) -> Iterator[tuple[str, Code]]:
    """The rules that templates have for a field of this name and this value's type, and that the value breaks."""
    for template_id, spec, matches in _template_rules().get(name, ()):
        if is_a(spec.field_type, value):
            if spec.item_type is not None and NOT_JSON in map(type_of, _items_of(value)):
                yield template_id, Code.WRONG_TYPE
            elif issue := next(explain_field(spec, value, name, required=False, matches=matches), None):
                yield template_id, issue.code


def _items_of(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _is_own_name(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and is_name(name)


def _count_strange(names: Counter[str], name: Any) -> None:
    shown = ascii(name[:MAX_LISTED]) if isinstance(name, str) else f"a {type(name).__name__}"
    if shown in names or len(names) < MAX_STRANGE:
        names[shown] += 1


@cache
def _template_rules() -> dict[str, tuple[tuple[str, FieldSpec, Matcher | None], ...]]:
    """For each field name, every template that declares it: (template, its rule, its pattern's matcher)."""
    rules: dict[str, tuple[tuple[str, FieldSpec, Matcher | None], ...]] = {}
    for template in load_templates().values():
        for spec in template.fields:
            matches = matcher(spec.pattern) if spec.pattern is not None else None
            rules[spec.field_name] = (*rules.get(spec.field_name, ()), (template.id, spec, matches))
    return rules
