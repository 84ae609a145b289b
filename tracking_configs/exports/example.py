"""An example event of a scenario: the template's own where it is right by the config, else made up by the rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from schemas.verdict import Issue
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.explain import explain_payload
from tracking_configs.field_rules import explain_field
from tracking_configs.model import TrackingConfig
from tracking_configs.template import FieldSpec, Template, load_templates

MADE_UP_LENGTH: Final = 100  # characters or items; what must be longer is not made up, an example is to be read
_ITEMS: Final[Mapping[str | None, Any]] = {
    "integer": 1,
    "number": 0.5,
    "string": "text",
    "boolean": True,
    "object": {},
    None: "text",
}
_BASE: Final[dict[str, Any]] = {
    "event_id": "evt_0123456789abcdef",
    "user_id": "user_12345",
    "item_id": "item_67890",
    "action_type": "click",
    "timestamp": 1_700_000_000_000,
    "context": {"device_type": "mobile", "os": "iOS 17.2", "scene": "home"},
}


@dataclass(frozen=True, slots=True)
class Example:
    """`warnings`: what the judge would still say of it, where a value that it needs cannot be made up."""

    event: dict[str, Any]
    warnings: tuple[Issue, ...]


def example_event(config: TrackingConfig) -> Example:
    """An event with every field for which there is a value, of an action that needs as many as any."""
    compiled = compile_config(config)
    template = load_templates().get(config.scenario_type)
    event = {**(template.example if template else _BASE)}
    event |= {"tenant_id": config.tenant_id, "scenario_id": config.scenario_id}
    action = event["action_type"] = _action(compiled, template)
    payload = dict(_payload(compiled, template, action))
    event["scenario_data"] = {compiled.payload_key: payload}
    return Example(event, tuple(explain_payload(compiled, action, payload, f"scenario_data.{compiled.payload_key}")))


def _action(compiled: CompiledConfig, template: Template | None) -> str:
    """The action with the most required fields; of several the template's own, else one that the config declares."""
    own: str = template.example["action_type"] if template else _BASE["action_type"]
    declared = compiled.config.actions
    in_order = [own, *declared] if template else [*declared, own]
    return max([*in_order, *sorted(compiled.required)], key=lambda action: len(compiled.required[action]))


def _payload(compiled: CompiledConfig, template: Template | None, action: str) -> Iterator[tuple[str, Any]]:
    """A value for each field that the template's example has, that is required, or that the template lacks."""
    known = template.example["scenario_data"][template.payload_key] if template else {}
    left_out = {field.field_name for field in template.fields} - known.keys() if template else set()
    for name, spec in compiled.specs.items():
        if name in left_out and name not in compiled.required[action]:
            continue
        for value in (known.get(name), spec.default, _made_up(spec)):
            issues = explain_field(spec, value, name, required=True, matches=compiled.matchers.get(name))
            if next(issues, None) is None:
                yield name, value
                break


def _made_up(spec: FieldSpec) -> Any:
    """A value by the rule, patterns aside; None where it would be too long to read."""
    if spec.enum_values is not None:
        return spec.enum_values[0]
    if (spec.min_length or 0) > MADE_UP_LENGTH:
        return None
    match spec.field_type:
        case "integer":
            return ceil(_within(1, spec))
        case "number":
            return _within(0.5, spec)
        case "string":
            return ("text" * MADE_UP_LENGTH)[: _length(4, spec)]
        case "array":
            return [_ITEMS[spec.item_type]] * _length(1, spec)
        case "object":
            return {"key": _ITEMS[spec.item_type]}
        case _:
            return True


def _within(value: float, spec: FieldSpec) -> float:
    at_least = value if spec.min_value is None else max(value, spec.min_value)
    return at_least if spec.max_value is None else min(at_least, spec.max_value)


def _length(wanted: int, spec: FieldSpec) -> int:
    at_least = max(wanted, spec.min_length or 0)
    return at_least if spec.max_length is None else min(at_least, spec.max_length)
