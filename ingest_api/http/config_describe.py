"""OpenAPI of the calls about tracking configs: what they answer, with an example, and how they refuse."""

from typing import Any, Final

import msgspec

from ingest_api.http.describe import EVENT_EXAMPLE
from ingest_api.http.openapi_parts import Schema, errors, json_body, ref
from ingest_api.quality import FieldQuality, Quality, QualityProblem, VerdictCounts, VersionQuality
from ingest_api.quality_examples import ExampleEvent
from schemas.verdict import Code
from tracking_configs.change import Change, Detail, Verdict
from tracking_configs.from_template import from_template
from tracking_configs.model import TrackingConfig, config_of
from tracking_configs.past_event import Outcome
from tracking_configs.preview import Changed, Counts, Preview, Reason, Window
from tracking_configs.suggest import Suggestion, suggest
from tracking_configs.template import Template, load_templates

_STRUCTS: Final = (Template, TrackingConfig, Change, Preview, Suggestion, Quality)
SCHEMAS: Final[dict[str, Schema]] = {
    **msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")[1],
    "ChangedConfig": {
        "allOf": [
            ref("TrackingConfig"),
            {
                "type": "object",
                "properties": {
                    "change": ref("Change"),
                    "published": {
                        "const": False,
                        "description": "stored, and in force elsewhere once Kafka is back; absent where it is already",
                    },
                },
            },
        ],
        "description": "The config, and what this version changes for events",
    },
    "ConfigVersion": {
        "type": "object",
        "required": ["version", "is_active", "updated_at", "author", "reason", "name", "enforcement", "change"],
        "properties": {
            "version": {"type": "integer"},
            "is_active": {"type": "boolean"},
            "updated_at": {"type": "integer", "description": "ms since the Unix epoch"},
            "author": {"type": "string"},
            "reason": {"type": "string"},
            "name": {"type": "string"},
            "enforcement": {"type": "string"},
            "change": {"anyOf": [ref("Change"), {"type": "null"}], "description": "null for version 1"},
        },
    },
    "PreviewAnswer": {
        "type": "object",
        "required": ["change", "preview"],
        "properties": {
            "change": {"anyOf": [ref("Change"), {"type": "null"}], "description": "null without a config in force"},
            "preview": ref("Preview"),
        },
    },
    "DraftAnswer": {
        "type": "object",
        "required": ["created_at", "suggestion"],
        "properties": {"created_at": {"type": "integer"}, "suggestion": ref("Suggestion")},
    },
}

_VIDEO: Final = load_templates()["video"]
_CONFIG: Final = config_of(
    from_template(_VIDEO, "acme", "vlog_feed", "Vlog feed"),
    version=1,
    created_at=1_700_000_000_000,
    updated_at=1_700_000_000_000,
    author="ana@acme.example",
    reason="first version",
)
_BREAKING: Final = Change(
    Verdict.BREAKING,
    (Detail("fields.duration.max_value", Verdict.BREAKING, "values above 600 were fine and will warn"),),
)
_VERSION: Final = {
    "version": 2,
    "is_active": True,
    "updated_at": 1_700_000_360_000,
    "author": "ana@acme.example",
    "reason": "longer clips are not ours",
    "name": "Vlog feed",
    "enforcement": "warn",
    "change": _BREAKING,
}
_FIELD: Final = "scenario_data.video_data.duration"
_TOO_LONG: Final = "expected 1 to 600, got 720"
_PREVIEW: Final = Preview(
    events=1000,
    window=Window(1_700_000_000_000, 1_700_003_600_000),
    now=Counts(980, 20, 0),
    then=Counts(930, 70, 0),
    changed=Changed(0, 50, 0),
    reasons=(Reason(Outcome.WARN, Code.OUT_OF_RANGE, _FIELD, 50, 50, _TOO_LONG, EVENT_EXAMPLE),),
)
_SUGGESTION: Final = suggest("acme", "vlog_feed", [EVENT_EXAMPLE] * 20)
_COUNTS: Final = {"passed": 930, "warn": 70, "reject": 0}
_LONG_CLIP: Final = ExampleEvent(
    event=msgspec.Raw(msgspec.json.encode(EVENT_EXAMPLE)),
    is_cut=False,
    event_id="evt_0123456789abcdef",
    kafka_topic="user-behaviors-acme",
    kafka_partition=3,
    kafka_offset=41,
    received_at=1_700_003_600_000,
)
_QUALITY: Final = Quality(
    tenant_id="acme",
    scenario_id="vlog_feed",
    since=1_700_000_000_000,
    until=1_700_003_600_000,
    totals=VerdictCounts(events=1000, **_COUNTS),
    versions=(VersionQuality(version=2, events=1000, **_COUNTS),),
    fields=(FieldQuality(field=_FIELD, version=2, **_COUNTS),),
    problems=(
        QualityProblem(
            code=Code.OUT_OF_RANGE,
            field=_FIELD,
            verdict=Outcome.WARN,
            count=70,
            message=_TOO_LONG,
            examples=(_LONG_CLIP,),
        ),
    ),
    unattributed=0,
)
_EXAMPLES: Final[dict[str, Any]] = msgspec.json.decode(
    msgspec.json.encode(
        {
            "Template": _VIDEO,
            "TrackingConfig": _CONFIG,
            "ChangedConfig": msgspec.to_builtins(_CONFIG) | {"version": 2, "change": _BREAKING},
            "ConfigVersion": _VERSION,
            "Change": _BREAKING,
            "PreviewAnswer": {"change": _BREAKING, "preview": _PREVIEW},
            "Suggestion": _SUGGESTION,
            "DraftAnswer": {"created_at": 1_700_000_000_000, "suggestion": _SUGGESTION},
            "Quality": _QUALITY,
        }
    )
)


def one(schema: str, status: int = 200) -> dict[int | str, Schema]:
    """A call's good answer."""
    return {status: json_body(ref(schema), _EXAMPLES[schema], f"The {schema}")}


def page(schema: str) -> dict[int | str, Schema]:
    """A call's good answer that is one page of a list."""
    properties = {
        "items": {"type": "array", "items": ref(schema)},
        "next_cursor": {"type": ["string", "null"]},
    }
    body = {"type": "object", "required": ["items", "next_cursor"], "properties": properties}
    example = {"items": [_EXAMPLES[schema]], "next_cursor": None}
    return {200: json_body(body, example, "A page; `next_cursor` is null on the last one")}


def text(kind: str, example: str, description: str) -> dict[int | str, Schema]:
    """A call's good answer that is not JSON."""
    content = {kind: {"schema": {"type": "string"}, "example": example}}
    return {200: {"description": description, "content": content}}


def document(description: str, example: Any, kind: str = "application/json") -> dict[int | str, Schema]:
    """A call's good answer that is a document in JSON with a form of its own."""
    return {200: {"description": description, "content": {kind: {"schema": {"type": "object"}, "example": example}}}}


def refusals(*statuses: int) -> dict[int | str, Schema]:
    """The errors of a call: its own, and those of any."""
    return errors(*sorted({400, 500, 503, *statuses}))
