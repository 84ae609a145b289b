"""A config as JSON Schema 2020-12: what is valid by it gets no warning from the judge, and the other way round.

What it cannot say is left to the judge: the bound on times to come, size and depth, whether a raw event has an id.
Patterns are translated from RE2; one that has no counterpart in ECMA-262 is left to the judge, and said in `$comment`.
"""

from collections import defaultdict
from typing import Any, Final

from schemas.limits import INT64_MAX, INT64_MIN, OLDEST_TIMESTAMP_MS
from tracking_configs.base import BASE_FIELDS, CONTEXT_FIELDS
from tracking_configs.compiler import required_fields
from tracking_configs.ecma_pattern import ecma_pattern
from tracking_configs.model import TrackingConfig, known_actions, payload_key
from tracking_configs.template import CUSTOM, FieldSpec

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def event_schema(config: TrackingConfig) -> Schema:
    """The schema of this scenario's events, as a client sends them to a door."""
    properties = {name: field_schema(spec, nullable=not spec.required) for name, spec in BASE_FIELDS.items()}
    properties["tenant_id"] = {"enum": [config.tenant_id, None]}
    properties["scenario_id"] = {"const": config.scenario_id}
    properties["action_type"] = {"enum": sorted(known_actions(config))}
    properties["timestamp"]["minimum"] = OLDEST_TIMESTAMP_MS
    properties["context"] = _object(CONTEXT_FIELDS, closed=False)
    properties["scenario_data"] = _scenario_data(config)
    return {
        "$schema": DIALECT,
        "title": config.name,
        "type": "object",
        "properties": properties,
        "required": [name for name, spec in BASE_FIELDS.items() if spec.required],
        "additionalProperties": False,
        "allOf": _needs(config),
    }


def field_schema(spec: FieldSpec, *, nullable: bool) -> Schema:
    """The schema of one field; an optional one may be null, which says the same as leaving it out."""
    schema: Schema = {"description": spec.description} if spec.description else {}
    if spec.enum_values is not None:
        schema["enum"] = [*spec.enum_values, *spec.enum_aliases, *([None] if nullable else [])]
        return schema
    schema["type"] = [spec.field_type, "null"] if nullable else spec.field_type
    if spec.field_type == "array":
        return schema | _given(minItems=spec.min_length, maxItems=spec.max_length, items=_item(spec))
    if spec.field_type == "object":
        return schema | _given(additionalProperties=_item(spec))
    if spec.field_type == "string":
        return schema | _given(minLength=spec.min_length, maxLength=spec.max_length) | _pattern(spec)
    low, high = (INT64_MIN, INT64_MAX) if spec.field_type == "integer" else (None, None)
    return schema | _given(
        minimum=low if spec.min_value is None else spec.min_value,
        maximum=high if spec.max_value is None else spec.max_value,
    )


def _pattern(spec: FieldSpec) -> Schema:
    if spec.pattern is None:
        return {}
    translated = ecma_pattern(spec.pattern)
    if translated is None:
        return {"$comment": f"the judge also wants a match of this RE2 pattern: {spec.pattern}"}
    return {"pattern": translated}


def _given(**keywords: Any) -> Schema:
    return {name: value for name, value in keywords.items() if value is not None}


def _item(spec: FieldSpec) -> Schema | None:
    if spec.item_type is None:
        return None
    return field_schema(FieldSpec(field_name="item", field_type=spec.item_type), nullable=False)


def _object(specs: dict[str, FieldSpec], *, closed: bool) -> Schema:
    return {
        "type": "object",
        "properties": {name: field_schema(spec, nullable=not spec.required) for name, spec in specs.items()},
        "required": [name for name, spec in specs.items() if spec.required],
        "additionalProperties": not closed,
    }


def _scenario_data(config: TrackingConfig) -> Schema:
    fields = {field.field_name: field_schema(field, nullable=True) for field in config.fields}
    free = config.scenario_type == CUSTOM and not fields
    key = payload_key(config.scenario_type)
    return {
        "type": ["object", "null"],
        "properties": {key: {"type": "object", "properties": fields, "additionalProperties": free}},
        "required": [key],
        "additionalProperties": False,
    }


def _needs(config: TrackingConfig) -> list[Schema]:
    """For each set of required fields: the actions that have it need them, present and not null."""
    actions: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for action in sorted(known_actions(config)):
        actions[required_fields(config, action)].append(action)
    key = payload_key(config.scenario_type)
    return [
        {
            "if": {"properties": {"action_type": {"enum": names}}, "required": ["action_type"]},
            "then": _with_required(key, fields),
        }
        for fields, names in sorted(actions.items())
        if fields
    ]


def _with_required(key: str, fields: tuple[str, ...]) -> Schema:
    present = {name: {"not": {"type": "null"}} for name in fields}
    payload = {"properties": present, "required": list(fields)}
    data = {"type": "object", "properties": {key: payload}, "required": [key]}
    return {"properties": {"scenario_data": data}, "required": ["scenario_data"]}
