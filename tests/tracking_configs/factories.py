"""Configs, registries and judges for tests."""

from typing import Any

import msgspec

from schemas.event import Event, Source
from schemas.topics import raw_topic
from schemas.verdict import Issue, Rejected
from tracking_configs.from_template import from_template
from tracking_configs.judge import Arrival, Judge
from tracking_configs.model import FieldSpec, TrackingConfig, config_of, parse_draft
from tracking_configs.registry import ConfigRegistry
from tracking_configs.template import load_templates

NOON = 1_700_000_000_000  # when the example events happened, ms
ARRIVED = NOON + 500


def make_config(**parts: Any) -> TrackingConfig:
    """A config of one's own fields; `fields` is split into required and optional ones."""
    fields = parts.pop("fields", ())
    version = parts.pop("version", 1)
    draft = {
        "tenant_id": "acme",
        "scenario_id": "feed",
        "scenario_type": "custom",
        "name": "Feed",
        "required_fields": [msgspec.to_builtins(field) for field in fields if field.required],
        "optional_fields": [msgspec.to_builtins(field) for field in fields if not field.required],
    }
    return config_of(parse_draft(draft | parts), version=version, created_at=NOON, updated_at=NOON)


def make_field(name: str, field_type: str, **parts: Any) -> FieldSpec:
    return FieldSpec(field_name=name, field_type=field_type, **parts)


def template_config(template_id: str, scenario: str | None = None, **overrides: Any) -> TrackingConfig:
    """Version 1 of a template's config for tenant acme and the scenario of the template's example."""
    template = load_templates()[template_id]
    draft = from_template(template, "acme", scenario or template.example["scenario_id"], template.name, overrides)
    return config_of(draft, version=1, created_at=NOON, updated_at=NOON)


def make_registry(*configs: TrackingConfig) -> ConfigRegistry:
    registry = ConfigRegistry()
    for config in configs:
        registry.apply(config)
    return registry


def example_judge() -> Judge:
    """The judge of the files in schemas/examples: every template, one scenario that rejects, one that is free."""
    return Judge(
        make_registry(
            *(template_config(template_id) for template_id in load_templates()),
            template_config("video", "strict_feed", enforcement="reject"),
            make_config(scenario_id="kiosk"),
        )
    )


def at_door(**parts: Any) -> Arrival:
    fields: dict[str, Any] = {"source": Source.HTTP, "received_at": ARRIVED, "tenant": "acme"}
    return Arrival(**(fields | parts))


def on_topic(**parts: Any) -> Arrival:
    place: dict[str, Any] = {"topic": raw_topic("acme"), "partition": 3, "offset": 41}
    return at_door(**({"source": Source.KAFKA} | place | parts))


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body)


def accepted(verdict: Event | Rejected) -> Event:
    assert isinstance(verdict, Event), verdict
    return verdict


def rejected(verdict: Event | Rejected) -> Rejected:
    assert isinstance(verdict, Rejected), verdict
    return verdict


def codes(issues: tuple[Issue, ...]) -> list[tuple[str, str]]:
    """(field, code) of each."""
    return [(issue.field, issue.code.value) for issue in issues]
