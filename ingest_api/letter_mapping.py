"""How dead letters are mended before they are replayed: a mapping, as `mapping.yaml` says it. No I/O.

    rules:
      - when: {reason: missing, scenario: vlog_feed}    # both may be left out
        rename: {uid: user_id, context.dev: context.device_type}
        drop: [debug]
        values: {action_type: {watch: play, "7": click}}
        cast: {item_id: string, timestamp: ms_from_s}
        defaults: {context.device_type: mobile, timestamp: $arrival}

Every rule that fits a letter is applied, in order; within one: rename, drop, values, cast, defaults. Paths are dotted
and lead through objects. What a rule cannot do it leaves undone: the judge then says what is wrong. No other field
changes: its text stays the client's own.
"""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from ingest_api.event_text import EventText
from schemas.verdict import Code
from tracking_configs.plain_text import parse_yaml

MAX_RULES: Final = 100
MAX_ENTRIES: Final = 1000  # of one part of a rule
ARRIVAL: Final = "$arrival"  # as a default: when the record arrived, in ms
MAX_DIGITS: Final = 30


class Cast(StrEnum):
    """What a value is turned into. `ms_from_s`: a time in seconds into one in ms."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    MS_FROM_S = "ms_from_s"


Path = Annotated[str, msgspec.Meta(pattern=r"^[^.]+(\.[^.]+)*$", max_length=300)]
Paths = Annotated[dict[Path, Path], msgspec.Meta(max_length=MAX_ENTRIES)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class When(_Part, frozen=True):
    """Which letters a rule is for: those with this reason among theirs, and of this scenario."""

    reason: Code | None = None
    scenario: str | None = None


class Rule(_Part, frozen=True):
    """One rule; see the module. The keys of `values` are the text of a value: `watch`, `7`, `true`."""

    when: When = When()
    rename: Paths = {}
    drop: Annotated[tuple[Path, ...], msgspec.Meta(max_length=MAX_ENTRIES)] = ()
    values: Annotated[dict[Path, dict[str, Any]], msgspec.Meta(max_length=MAX_ENTRIES)] = {}
    cast: Annotated[dict[Path, Cast], msgspec.Meta(max_length=MAX_ENTRIES)] = {}
    defaults: Annotated[dict[Path, Any], msgspec.Meta(max_length=MAX_ENTRIES)] = {}


class Mapping(_Part, frozen=True):
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1, max_length=MAX_RULES)]


class InvalidMappingError(ValueError):
    """A mapping that cannot be used; the message says what is wrong and where."""


def parse_mapping(text: str) -> Mapping:
    """The mapping of a YAML (or JSON) text. Raises InvalidMappingError."""
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise InvalidMappingError(str(error)) from None
    return mapping_of(value)


def mapping_of(value: Any) -> Mapping:
    """The mapping of plain values. Raises InvalidMappingError."""
    try:
        mapping = msgspec.convert(value, Mapping)
    except msgspec.ValidationError as error:
        raise InvalidMappingError(str(error)) from None
    for number, rule in enumerate(mapping.rules):
        for path, target in rule.rename.items():
            if f"{target}.".startswith(f"{path}."):
                raise InvalidMappingError(f"rules[{number}].rename: {path} cannot be moved into itself, to {target}")
    return mapping


def mend(
    value: bytes, mapping: Mapping | None, *, reasons: tuple[str, ...], scenario: str | None, arrived: int
) -> bytes:
    """The letter's value after every rule that fits it; itself where none does. Raises NotMendableError."""
    rules = [rule for rule in mapping.rules if _fits(rule.when, reasons, scenario)] if mapping is not None else []
    if not rules:
        return value
    text = EventText(value)
    for rule in rules:
        _apply(rule, text, arrived)
    return text.encode()


def _fits(when: When, reasons: tuple[str, ...], scenario: str | None) -> bool:
    return when.reason in {None, *reasons} and when.scenario in {None, scenario}


def _apply(rule: Rule, text: EventText, arrived: int) -> None:
    for path, target in rule.rename.items():
        text.move(path, target)
    for path in rule.drop:
        text.drop(path)
    for path, values in rule.values.items():
        key = _text(text.get(path))
        if key is not None and key in values:
            text.set(path, values[key])
    for path, cast in rule.cast.items():
        turned = CASTS[cast](text.get(path))
        if turned is not None:
            text.set(path, turned)
    for path, default in rule.defaults.items():
        if text.get(path) is None:
            text.set(path, arrived if default == ARRIVAL else default)


def _text(value: Any) -> str | None:
    """How a scalar stands among the keys of `values`; None for anything else."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, bool | int | float) and _is_finite(value) else None


def _as_number(value: Any) -> int | float | None:
    """Of a number, or of the text of one."""
    if isinstance(value, str) and len(value) <= MAX_DIGITS:
        try:
            value = float(value) if set(value) & set(".eE") else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        return None
    return value


def _is_finite(value: float) -> bool:
    """And within what JSON libraries take for an integer."""
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63


def _integer(value: Any) -> int | None:
    number = _as_number(value)
    return int(number) if number is not None and number == int(number) and _is_finite(int(number)) else None


def _boolean(value: Any) -> bool | None:
    return {"true": True, "false": False, "1": True, "0": False}.get(str(_text(value)).lower())


def _ms_from_s(value: Any) -> int | None:
    number = _as_number(value)
    return _integer(round(number * 1000)) if number is not None else None


CASTS: Final[dict[Cast, Callable[[Any], Any]]] = {  # None: it cannot be turned into that
    Cast.INTEGER: _integer,
    Cast.NUMBER: _as_number,
    Cast.STRING: _text,
    Cast.BOOLEAN: _boolean,
    Cast.MS_FROM_S: _ms_from_s,
}
