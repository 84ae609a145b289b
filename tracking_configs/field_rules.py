"""The rules of one field, in words: what is wrong with a value.

Two hold for every field, of the base or of a scenario:
- null says the same as leaving the field out: clients that write every key mean just that;
- a number without a fraction is an integer, `3.0` like `3`, as JSON Schema has it.
"""

from collections.abc import Callable, Iterator
from sys import float_info
from typing import Any, Final

import msgspec

from schemas.limits import INT64_MAX, INT64_MIN
from schemas.verdict import Code, Issue
from tracking_configs.template import FieldSpec

Matcher = Callable[[str], bool]  # whether a string holds a match of a field's pattern

MAX_SHOWN: Final = 60  # characters of a client's own text that a message repeats


def explain_field(
    spec: FieldSpec, value: Any, path: str, *, required: bool, matches: Matcher | None = None
) -> Iterator[Issue]:
    """What is wrong with one field's value; None stands for an absent one."""
    if value is None:
        if required:
            yield Issue(path, Code.MISSING, f"required {spec.field_type} is missing")
    elif not is_a(spec.field_type, value):
        yield Issue(path, Code.WRONG_TYPE, f"expected {spec.field_type}, got {got(value)}")
    elif spec.enum_values is not None:
        if value not in spec.enum_values and value not in spec.enum_aliases:
            allowed = shortened(", ".join(map(str, spec.enum_values)), 200)
            yield Issue(path, Code.NOT_IN_ENUM, f"expected one of {allowed}, got {got(value)}")
    elif spec.field_type in ("integer", "number"):
        yield from _range_issues(spec, value, path)
    elif spec.field_type in ("array", "object"):
        yield from _length_issues(spec, value, path, "items")
        yield from _item_issues(spec, value, path)
    elif spec.field_type == "string":
        yield from _length_issues(spec, value, path, "characters")
        if matches is not None and not matches(value):
            yield Issue(path, Code.PATTERN_MISMATCH, f"expected a match of {spec.pattern}, got {got(value)}")


def is_a(field_type: str, value: Any) -> bool:
    """Whether a decoded JSON value is of that type."""
    match field_type:
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case "number":
            return type(value) is int or type(value) is float
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def got(value: Any) -> str:
    """A value for a message: its JSON type, and its own text, shortened."""
    kind = next(
        (name for name in ("boolean", "integer", "number", "string", "array", "object") if is_a(name, value)), "null"
    )
    if kind in ("array", "object", "null"):
        return kind
    return f"{kind} {shortened(msgspec.json.encode(value).decode() if kind == 'string' else str(value).lower())}"


def shortened(text: str, length: int = MAX_SHOWN) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _range_issues(spec: FieldSpec, value: Any, path: str) -> Iterator[Issue]:
    integer = spec.field_type == "integer"
    low = spec.min_value if spec.min_value is not None else INT64_MIN if integer else -float_info.max
    high = spec.max_value if spec.max_value is not None else INT64_MAX if integer else float_info.max
    if not low <= value <= high:
        given = spec.min_value is not None, spec.max_value is not None
        bounds = {
            (True, True): f"{low} to {high}",
            (True, False): f"at least {low}",
            (False, True): f"at most {high}",
            (False, False): "a number of 64 bits",
        }[given]
        if integer and not INT64_MIN <= value <= INT64_MAX:
            bounds = "a number of 64 bits"
        yield Issue(path, Code.OUT_OF_RANGE, f"expected {bounds}, got {shortened(str(value))}")


def _length_issues(spec: FieldSpec, value: Any, path: str, unit: str) -> Iterator[Issue]:
    if spec.min_length is not None and len(value) < spec.min_length:
        yield Issue(path, Code.TOO_SHORT, f"expected at least {spec.min_length} {unit}, got {len(value)}")
    if spec.max_length is not None and len(value) > spec.max_length:
        yield Issue(path, Code.TOO_LONG, f"expected at most {spec.max_length} {unit}, got {len(value)}")


def _item_issues(spec: FieldSpec, value: Any, path: str) -> Iterator[Issue]:
    if spec.item_type is None:
        return
    item = FieldSpec(field_name="", field_type=spec.item_type)
    for key, each in enumerate(value) if isinstance(value, list) else value.items():
        where = f"{path}.{shortened(str(key))}"
        if each is None:
            yield Issue(where, Code.WRONG_TYPE, f"expected {spec.item_type}, got null")
        else:
            yield from explain_field(item, each, where, required=True)
