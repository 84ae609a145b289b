"""A tracking config: what the events of one tenant's scenario carry (CONTRACTS §3). Checked by `checks.py`."""

from typing import Any, Final

import msgspec

from schemas.actions import SKIP
from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.template import CUSTOM, CUSTOM_PAYLOAD_KEY, Template, load_templates
from tracking_configs.template import FieldSpec as FieldSpec

_OVERRIDABLE: Final = "fields, actions and enforcement"


class ConfigDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a config; the service adds version and times.

    `actions` are further actions: those of the scenario_type's template belong to it anyway.
    """

    tenant_id: str
    scenario_id: str
    scenario_type: str
    name: str
    description: str = ""
    required_fields: tuple[FieldSpec, ...] = ()
    optional_fields: tuple[FieldSpec, ...] = ()
    actions: tuple[str, ...] = ()
    enforcement: str = "warn"


class TrackingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a config. Times are ms UTC; `is_active` is False once it is deleted."""

    tenant_id: str
    scenario_id: str
    scenario_type: str
    name: str
    description: str = ""
    required_fields: tuple[FieldSpec, ...] = ()
    optional_fields: tuple[FieldSpec, ...] = ()
    actions: tuple[str, ...] = ()
    enforcement: str = "warn"
    version: int = 1
    is_active: bool = True
    created_at: int = 0
    updated_at: int = 0

    @property
    def key(self) -> str:
        """`tenant/scenario`: the key of the change topic. A tenant has no slash, so it splits back exactly."""
        return f"{self.tenant_id}/{self.scenario_id}"

    @property
    def fields(self) -> tuple[FieldSpec, ...]:
        return self.required_fields + self.optional_fields


def payload_key(scenario_type: str) -> str:
    """The key under `scenario_data` that holds this scenario's payload."""
    return CUSTOM_PAYLOAD_KEY if scenario_type == CUSTOM else f"{scenario_type}_data"


def known_actions(config: TrackingConfig | ConfigDraft) -> frozenset[str]:
    """The scenario's list: its template's actions, or every built-in one where it is custom, and the declared."""
    templates = load_templates()
    template = templates.get(config.scenario_type)
    lists = [template.actions] if template else [each.actions for each in templates.values()]
    return frozenset(config.actions).union(*lists, {SKIP})


def draft_of(config: TrackingConfig) -> ConfigDraft:
    """What a caller said of this config."""
    return ConfigDraft(**{name: getattr(config, name) for name in ConfigDraft.__struct_fields__})


def config_of(draft: ConfigDraft, *, version: int, created_at: int, updated_at: int) -> TrackingConfig:
    """The draft as one version of a config. What stands in required_fields is required."""
    required = tuple(msgspec.structs.replace(field, required=True) for field in draft.required_fields)
    parts = {name: getattr(draft, name) for name in ConfigDraft.__struct_fields__} | {"required_fields": required}
    return TrackingConfig(**parts, version=version, created_at=created_at, updated_at=updated_at)


encode_config = msgspec.json.Encoder().encode
decode_config = msgspec.json.Decoder(TrackingConfig).decode


def parse_draft(body: Any) -> ConfigDraft:
    """A draft from plain values. Raises InvalidConfigError for an unknown key or a value of the wrong type."""
    try:
        return msgspec.convert(body, ConfigDraft)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([Problem("", str(error))]) from None


def from_template(
    template: Template, tenant: str, scenario: str, name: str, overrides: dict[str, Any] | None = None
) -> ConfigDraft:
    """The template's fields and actions for one tenant and scenario, changed by `overrides`.

    `overrides`: {"fields": {name: {parts of a field}}, "actions": [further], "enforcement": "warn" or "reject"}.
    The parts replace the template's; a name that the template lacks is a new field and needs a field_type.
    Raises InvalidConfigError, naming the override that is wrong.
    """
    overrides = overrides or {}
    for key in overrides.keys() - {"fields", "actions", "enforcement"}:
        raise InvalidConfigError([Problem(f"overrides.{key}", f"cannot be overridden: there are {_OVERRIDABLE}")])
    fields = _overridden(template, overrides.get("fields", {}))
    further = _strings(overrides.get("actions", []))
    return ConfigDraft(
        tenant_id=tenant,
        scenario_id=scenario,
        scenario_type=template.id,
        name=name,
        description=template.description,
        required_fields=tuple(field for field in fields if field.required),
        optional_fields=tuple(field for field in fields if not field.required),
        actions=tuple(dict.fromkeys([*template.actions, *further])),
        enforcement=overrides.get("enforcement", "warn"),
    )


def _overridden(template: Template, changes: Any) -> list[FieldSpec]:
    if not isinstance(changes, dict):
        raise InvalidConfigError([Problem("overrides.fields", "expected an object of field names")])
    fields = {field.field_name: field for field in template.fields}
    for name, parts in changes.items():
        fields[name] = _merged(name, fields.get(name), parts)
    return list(fields.values())


def _merged(name: str, field: FieldSpec | None, parts: Any) -> FieldSpec:
    where = f"overrides.fields.{name}"
    if not isinstance(parts, dict):
        raise InvalidConfigError([Problem(where, "expected an object with parts of a field")])
    if parts.get("field_name", name) != name:
        raise InvalidConfigError([Problem(f"{where}.field_name", "a field cannot be renamed")])
    known = msgspec.to_builtins(field) if field else {"field_name": name}
    parts = {"required": bool(parts["required_for"]), **parts} if "required_for" in parts else parts
    try:
        return msgspec.convert({**known, **parts}, FieldSpec)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([Problem(where, str(error))]) from None


def _strings(value: Any) -> list[str]:
    try:
        return msgspec.convert(value, list[str])
    except msgspec.ValidationError as error:
        raise InvalidConfigError([Problem("overrides.actions", str(error))]) from None
