"""What a field of a config must be. Every problem is named, with the part of the field that has it."""

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import re2

from schemas.limits import INT64_MAX, INT64_MIN, MAX_NESTING
from tracking_configs.errors import Problem
from tracking_configs.field_rules import explain_field
from tracking_configs.json_text import is_too_deep
from tracking_configs.template import FieldSpec

FIELD_TYPES: Final = ("integer", "number", "string", "boolean", "array", "object")
ITEM_TYPES: Final = ("integer", "number", "string", "boolean", "object")
MAX_NAME: Final = 64  # as the pattern of a name says
MAX_TEXT: Final = 1000  # characters of a name or description
MAX_ENUM_VALUES: Final = 500
MAX_PATTERN: Final = 512

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PATTERN_OPTIONS = re2.Options()
_PATTERN_OPTIONS.log_errors = False
_PATTERN_OPTIONS.max_mem = 1 << 20


def compile_pattern(pattern: str) -> Any:
    """RE2: linear time whatever a tenant writes, so no look-around and no back references. Raises re2.error."""
    return re2.compile(pattern, _PATTERN_OPTIONS)


def is_name(text: str) -> bool:
    """Whether it may name a field or an action."""
    return _NAME.fullmatch(text) is not None


def field_problems(field: FieldSpec) -> Iterator[Problem]:
    """What is wrong with one field by itself; paths are parts of the field."""
    if not is_name(field.field_name):
        yield Problem("field_name", f"{field.field_name[:MAX_NAME]!r} is not a name: [a-z][a-z0-9_]{{0,63}}")
    if field.field_type not in FIELD_TYPES:
        yield Problem("field_type", f"unknown type {field.field_type!r}: there are {', '.join(FIELD_TYPES)}")
        return
    if len(field.description) > MAX_TEXT:
        yield Problem("description", f"expected at most {MAX_TEXT} characters")
    yield from _foreign_parts(field)
    yield from _range_problems(field)
    yield from _length_problems(field)
    yield from _pattern_problems(field)
    yield from _enum_problems(field)
    if field.item_type is not None and field.item_type not in ITEM_TYPES:
        yield Problem("item_type", f"unknown type {field.item_type!r}: there are {', '.join(ITEM_TYPES)}")
    else:
        yield from _default_problems(field)


_BELONGS_TO: Final = {
    "min_value": ("integer", "number"),
    "max_value": ("integer", "number"),
    "min_length": ("string", "array"),
    "max_length": ("string", "array"),
    "pattern": ("string",),
    "enum_values": ("string", "integer"),
    "enum_aliases": ("string",),
    "item_type": ("array", "object"),
}


def _foreign_parts(field: FieldSpec) -> Iterator[Problem]:
    given = [part for part in _BELONGS_TO if getattr(field, part) not in (None, {})]
    for part in given:
        if field.field_type not in _BELONGS_TO[part]:
            yield Problem(part, f"belongs to {' and '.join(_BELONGS_TO[part])} fields, not to {field.field_type}")
        if field.enum_values is not None and not part.startswith("enum"):
            yield Problem(part, "does not go together with enum_values")


def _range_problems(field: FieldSpec) -> Iterator[Problem]:
    low, high = field.min_value, field.max_value
    for part, bound in (("min_value", low), ("max_value", high)):
        if bound is None:
            continue
        if abs(bound) > INT64_MAX or not math.isfinite(bound):  # in this order: isfinite takes no huge integer
            yield Problem(part, f"{bound} is out of range")
        elif field.field_type == "integer" and bound != math.floor(bound):
            yield Problem(part, f"{bound} is not an integer")
    if low is not None and high is not None and low > high:
        yield Problem("min_value", f"{low} is more than max_value {high}")


def _length_problems(field: FieldSpec) -> Iterator[Problem]:
    low, high = field.min_length, field.max_length
    for part, bound in (("min_length", low), ("max_length", high)):
        if bound is not None and not 0 <= bound <= INT64_MAX:
            yield Problem(part, f"{bound} is not a length")
    if low is not None and high is not None and low > high:
        yield Problem("min_length", f"{low} is more than max_length {high}")


def _pattern_problems(field: FieldSpec) -> Iterator[Problem]:
    if field.pattern is None:
        return
    if len(field.pattern) > MAX_PATTERN:
        yield Problem("pattern", f"longer than {MAX_PATTERN} characters")
        return
    try:
        compile_pattern(field.pattern)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        yield Problem("pattern", f"not an RE2 expression: {why}")


def _enum_problems(field: FieldSpec) -> Iterator[Problem]:
    values = field.enum_values
    if values is None:
        if field.enum_aliases:
            yield Problem("enum_aliases", "needs enum_values")
        return
    if not 1 <= len(values) <= MAX_ENUM_VALUES:
        yield Problem("enum_values", f"expected 1 to {MAX_ENUM_VALUES} values")
        return
    wanted = int if field.field_type == "integer" else str
    if strange := [value for value in values if type(value) is not wanted]:
        yield Problem("enum_values", f"mixed types: {strange[0]!r} is not {_article(field.field_type)}")
        return
    if wanted is int and not all(INT64_MIN <= value <= INT64_MAX for value in values):
        yield Problem("enum_values", "holds more than a 64-bit integer")
    if len(set(values)) != len(values):
        yield Problem("enum_values", "holds a value twice")
    for alias, value in field.enum_aliases.items():
        if value not in values or alias in values:
            yield Problem("enum_aliases", f"{alias!r} must be another spelling of one of enum_values, not of {value!r}")


def _default_problems(field: FieldSpec) -> Iterator[Problem]:
    """A default is documentation, but it must not teach what the judge refuses."""
    if isinstance(field.default, dict | list) and is_too_deep(msgspec.json.encode(field.default)):
        yield Problem("default", f"nested more than {MAX_NESTING} deep")
        return
    if field.default is None:
        return
    if field.enum_values is not None and field.field_type not in _BELONGS_TO["enum_values"]:  # said of the enum itself
        return
    try:
        matches = compile_pattern(field.pattern).search if field.pattern is not None else None
    except re2.error:  # said of the pattern itself
        return
    for issue in explain_field(field, field.default, "default", required=False, matches=matches):
        yield Problem("default", f"breaks the field's own rule: {issue.message}")


def _article(field_type: str) -> str:
    return f"an {field_type}" if field_type[0] in "aio" else f"a {field_type}"
