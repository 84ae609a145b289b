"""A config's draft from a template and a tenant's overrides, which have the form of the template file."""

from typing import Any, Final

import msgspec

from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.model import ConfigDraft, problem_of
from tracking_configs.template import FieldSpec, Template

Parts = dict[str, Any]

_REPLACED: Final = ("enforcement", "description", "hot_half_life_h", "session_gap_min", "dwell", "completion_field")
_OVERRIDABLE: Final = (
    *("fields", "actions", "weights", "positive", "category_fields", "recall_mix"),
    *_REPLACED,
)


def from_template(
    template: Template, tenant: str, scenario: str, name: str, overrides: Parts | None = None
) -> ConfigDraft:
    """The template's parts for one tenant and scenario, changed by `overrides`.

    `fields`: {name: parts of a field}, which replace the template's parts; a name that the template lacks is a new
    field and needs a field_type; null takes the field away. `actions`: further ones, as a list, or with their weights
    as a mapping. `weights`, `positive` and `recall_mix` change the keys they name. Everything else replaces its like.
    Raises InvalidConfigError, naming the override that is wrong.
    """
    overrides = overrides or {}
    for key in overrides.keys() - set(_OVERRIDABLE):
        known = ", ".join(_OVERRIDABLE)
        raise InvalidConfigError([Problem(f"overrides.{key}", f"cannot be overridden: there are {known}")])
    fields = _fields(template, overrides.get("fields", {}))
    actions, weights = _actions(overrides.get("actions", []))
    body: Parts = {
        "tenant_id": tenant,
        "scenario_id": scenario,
        "scenario_type": template.id,
        "name": name,
        "description": template.description,
        "required_fields": [field for field in fields if field["required"]],
        "optional_fields": [field for field in fields if not field["required"]],
        "actions": list(dict.fromkeys([*template.actions, *actions])),
        "weights": {**template.actions, **weights, **_mapping(overrides, "weights")},
        **{key: overrides[key] for key in (*_REPLACED, "category_fields") if key in overrides},
    }
    for key in ("positive", "recall_mix"):
        if key in overrides:
            body[key] = msgspec.to_builtins(getattr(template, key)) | _mapping(overrides, key)
    try:
        return msgspec.convert(body, ConfigDraft)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([problem_of(error, "overrides")]) from None


def _mapping(overrides: Parts, key: str) -> Parts:
    value = overrides.get(key, {})
    if not isinstance(value, dict):
        raise InvalidConfigError([Problem(f"overrides.{key}", "expected an object")])
    return value


def _actions(given: Any) -> tuple[list[str], Parts]:
    if isinstance(given, dict):
        return list(given), given
    try:
        return msgspec.convert(given, list[str]), {}
    except msgspec.ValidationError as error:
        raise InvalidConfigError([problem_of(error, "overrides.actions")]) from None


def _fields(template: Template, changes: Any) -> list[Parts]:
    if not isinstance(changes, dict):
        raise InvalidConfigError([Problem("overrides.fields", "expected an object of field names")])
    fields: dict[str, Parts] = {field.field_name: msgspec.to_builtins(field) for field in template.fields}
    for name, parts in changes.items():
        if parts is None:
            fields.pop(name, None)
        else:
            fields[name] = _merged(name, fields.get(name, {"field_name": name, "required": False}), parts)
    return list(fields.values())


def _merged(name: str, field: Parts, parts: Any) -> Parts:
    where = f"overrides.fields.{name}"
    if not isinstance(parts, dict):
        raise InvalidConfigError([Problem(where, "expected an object with parts of a field")])
    if parts.get("field_name", name) != name:
        raise InvalidConfigError([Problem(f"{where}.field_name", "a field cannot be renamed")])
    implied = {"required": bool(parts["required_for"])} if "required_for" in parts else {}
    merged = field | implied | parts
    try:
        msgspec.convert(merged, FieldSpec)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([problem_of(error, where)]) from None
    return merged
