"""What a config must be before it may judge anything. Every problem is named at once."""

import math
from collections.abc import Iterator
from typing import Any, Final

import re2

from schemas.limits import MAX_SCENARIO_ID
from schemas.topics import is_tenant
from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.model import ConfigDraft, FieldSpec, known_actions
from tracking_configs.template import CUSTOM, load_templates

FIELD_TYPES: Final = ("integer", "number", "string", "boolean", "array", "object")
ITEM_TYPES: Final = ("integer", "number", "string", "boolean", "object")
ENFORCEMENTS: Final = ("warn", "reject")
MAX_FIELDS: Final = 200
MAX_ACTIONS: Final = 200
MAX_NAME: Final = 64  # as the pattern of a name says
MAX_TEXT: Final = 1000  # characters of a name or description
MAX_ENUM_VALUES: Final = 500
MAX_PATTERN: Final = 512
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_NAME = re2.compile(r"[a-z][a-z0-9_]{0,63}")
_PATTERN_OPTIONS = re2.Options()
_PATTERN_OPTIONS.log_errors = False
_PATTERN_OPTIONS.max_mem = 1 << 20


def compile_pattern(pattern: str) -> Any:
    """RE2: linear time whatever a tenant writes, so no look-around and no back references. Raises re2.error."""
    return re2.compile(pattern, _PATTERN_OPTIONS)


def check_config(draft: ConfigDraft) -> None:
    """Raises InvalidConfigError with every problem of the draft."""
    if problems := list(_problems(draft)):
        raise InvalidConfigError(problems)


def _problems(draft: ConfigDraft) -> Iterator[Problem]:
    if not is_tenant(draft.tenant_id):
        yield Problem("tenant_id", "not a tenant's name: [a-z0-9][a-z0-9_-]{0,62}, and not reserved")
    if not 1 <= len(draft.scenario_id) <= MAX_SCENARIO_ID:
        yield Problem("scenario_id", f"expected 1 to {MAX_SCENARIO_ID} characters")
    if "/" in draft.scenario_id or not draft.scenario_id.isprintable():
        # It is part of the config's address, and of its key on the change topic.
        yield Problem("scenario_id", "expected printable characters and no slash")
    if draft.scenario_type != CUSTOM and draft.scenario_type not in load_templates():
        kinds = ", ".join((*load_templates(), CUSTOM))
        yield Problem("scenario_type", f"unknown type {draft.scenario_type!r}: there are {kinds}")
    if not 1 <= len(draft.name) <= MAX_TEXT:
        yield Problem("name", f"expected 1 to {MAX_TEXT} characters")
    if len(draft.description) > MAX_TEXT:
        yield Problem("description", f"expected at most {MAX_TEXT} characters")
    if draft.enforcement not in ENFORCEMENTS:
        yield Problem("enforcement", f"{draft.enforcement!r} is neither warn nor reject")
    yield from _action_problems(draft)
    yield from _list_problems(draft)


def _action_problems(draft: ConfigDraft) -> Iterator[Problem]:
    if len(draft.actions) > MAX_ACTIONS:
        yield Problem("actions", f"{len(draft.actions)} are more than {MAX_ACTIONS}")
    for index, action in enumerate(draft.actions[:MAX_ACTIONS]):
        if not _is_name(action):
            yield Problem(f"actions[{index}]", f"{action[:MAX_NAME]!r} is not a name: [a-z][a-z0-9_]{{0,63}}")


def _list_problems(draft: ConfigDraft) -> Iterator[Problem]:
    count = len(draft.required_fields) + len(draft.optional_fields)
    if count > MAX_FIELDS:
        yield Problem("required_fields", f"{count} fields are more than {MAX_FIELDS}")
        return
    actions = known_actions(draft)
    seen: set[str] = set()
    for place in ("required_fields", "optional_fields"):
        for index, field in enumerate(getattr(draft, place)):
            where = f"{place}[{index}]"
            if field.field_name in seen:
                yield Problem(f"{where}.field_name", f"duplicate field {field.field_name!r}")
            seen.add(field.field_name)
            if place == "optional_fields" and field.required:
                yield Problem(f"{where}.required", "a required field belongs to required_fields")
            for action in sorted(set(field.required_for) - actions):
                yield Problem(f"{where}.required_for", f"{action!r} is not an action of this scenario")
            for part, message in field_problems(field):
                yield Problem(f"{where}.{part}", message)


def field_problems(field: FieldSpec) -> Iterator[Problem]:
    """What is wrong with one field by itself; paths are parts of the field."""
    if not _is_name(field.field_name):
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
        if not math.isfinite(bound) or abs(bound) > INT64_MAX:
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


def _article(field_type: str) -> str:
    return f"an {field_type}" if field_type[0] in "aio" else f"a {field_type}"


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None
