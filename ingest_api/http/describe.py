"""OpenAPI of the calls that read their body themselves: schemas, an example and every error status."""

from typing import Any, Final

from ingest_api.http.openapi_parts import (
    ISSUE_EXAMPLE,
    TENANT_HEADER,
    Schema,
    coded_answer,
    coded_example,
    errors,
    json_body,
    ref,
)
from schemas.actions import BUILT_IN_ACTIONS
from schemas.event import DeviceType
from schemas.limits import INT64_MAX, MAX_BATCH_EVENTS, MAX_ID, MAX_SCENARIO_ID, OLDEST_TIMESTAMP_MS
from schemas.topics import TENANT_PATTERN
from tracking_configs.base import payload_keys

EVENT_EXAMPLE: Final[Schema] = {
    "tenant_id": "acme",
    "scenario_id": "vlog_feed",
    "user_id": "u1",
    "item_id": "v9",
    "action_type": "play_end",
    "context": {"device_type": "mobile", "os": "iOS 19"},
    "scenario_data": {"video_data": {"duration": 60, "watch_duration": 48, "completion_rate": 0.8}},
}
_GAME_EXAMPLE: Final[Schema] = {
    "user_id": "u1",
    "game_id": "g7",
    "behavior_type": "bet",
    "bet_amount": 2.5,
    "context": {"device": "mobile", "scene": "home", "position": 3},
}
_TRACKED_EXAMPLE: Final[Schema] = {
    "success": True,
    "event_id": "evt_0123456789abcdef",
    "message": "Event tracked successfully",
}


def _id(most: int = MAX_ID) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most}


def _optional(schema: Schema) -> Schema:
    """null says the same as leaving the field out."""
    return schema | {"type": [schema["type"], "null"]}


def _receipt(name_of_id: str) -> Schema:
    """What became of many things, each judged for itself."""
    line: Schema = {
        "index": {"type": "integer"},
        name_of_id: {"type": "string"},
        "message": {"type": "string"},
        "errors": {"type": "array", "items": ref("Issue")},
    }
    counts: Schema = {name: {"type": "integer"} for name in ("total", "succeeded", "failed")}
    return {
        "type": "object",
        "required": ["success", *counts],
        "properties": {
            "success": {"type": "boolean", "description": "failed == 0"},
            **counts,
            "errors": {
                "type": "array",
                "items": {"type": "object", "required": ["index", "errors"], "properties": line},
            },
        },
    }


SCHEMAS: Final[dict[str, Schema]] = {
    "BehaviorEvent": {
        "type": "object",
        "description": "One behaviour. `event_id` and `timestamp` are filled in where they are absent.",
        "required": ["scenario_id", "user_id", "item_id", "action_type", "context"],
        "properties": {
            "event_id": _optional(_id()) | {"description": "the deduplication key"},
            "tenant_id": {
                "type": ["string", "null"],
                "pattern": f"^{TENANT_PATTERN.pattern}$",
                "description": "else the header X-Tenant-ID, else the setting default_tenant",
            },
            "scenario_id": _id(MAX_SCENARIO_ID),
            "user_id": _id(),
            "item_id": _id(),
            "action_type": {
                "type": "string",
                "description": "built in, or declared by the tracking config",
                "examples": sorted(BUILT_IN_ACTIONS),
            },
            "timestamp": {
                "type": ["integer", "null"],
                "minimum": OLDEST_TIMESTAMP_MS,
                "description": "event time, ms since the Unix epoch, UTC; at most 24 h ahead",
            },
            "context": ref("BehaviorContext"),
            "experiment_id": {"type": ["string", "null"], "maxLength": MAX_ID},
            "experiment_group": {"type": ["string", "null"], "maxLength": MAX_ID},
            "position": {
                "type": ["integer", "null"],
                "minimum": 0,
                "maximum": INT64_MAX,
                "description": "the rank at which the item was shown",
            },
            "scenario_data": {
                "type": ["object", "null"],
                "properties": {key: {"type": "object"} for key in sorted(payload_keys())},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
                "description": "exactly one key: `<template>_data` or `custom_data`",
            },
            "extra_data": {"type": ["object", "null"], "description": "kept as is"},
        },
    },
    "BehaviorContext": {
        "type": "object",
        "required": ["device_type"],
        "additionalProperties": True,
        "properties": {
            "device_type": {"type": "string", "enum": [*map(str, DeviceType), "desktop"]},
            **{name: {"type": ["string", "null"]} for name in ("os", "location", "ip", "scene", "request_id")},
        },
    },
    "Issue": {
        "type": "object",
        "required": ["field", "code", "message"],
        "properties": {
            "field": {"type": "string", "description": "a dotted path; empty for the whole"},
            "code": {"type": "string", "description": "a stable identifier"},
            "message": {"type": "string"},
        },
    },
    "Error": {
        "type": "object",
        "required": ["success", "message", "errors", "trace_id"],
        "properties": {
            "success": {"const": False},
            "message": {"type": "string"},
            "errors": {"type": "array", "items": ref("Issue")},
            "trace_id": {"type": "string"},
            "event_id": {"type": "string", "description": "on 503: send the event again under this id"},
        },
    },
    "CodedError": {
        "type": "object",
        "required": ["code", "message", "data", "trace_id"],
        "properties": {
            "code": {"type": "integer", "description": "1xxxx system, 2xxxx business, 3xxxx model"},
            "message": {"type": "string"},
            "data": {"type": "null"},
            "errors": {"type": "array", "items": ref("Issue")},
            "trace_id": {"type": "string"},
        },
    },
    "Tracked": {
        "type": "object",
        "required": ["success", "event_id", "message"],
        "properties": {
            "success": {"const": True},
            "event_id": {"type": "string"},
            "message": {"type": "string"},
            "validation_warnings": {"type": "array", "items": ref("Issue")},
        },
    },
    "BatchReceipt": _receipt("event_id") | {"description": "503 has message and trace_id besides"},
    "ItemsReceipt": _receipt("item_id"),
}


def _call(
    summary: str, *, request: Schema, answer: Schema, statuses: tuple[int, ...], form: str = "Error"
) -> dict[str, Any]:
    """Keyword arguments of a route."""
    return {
        "summary": summary,
        "openapi_extra": {"requestBody": {"required": True, **request}, "parameters": [TENANT_HEADER]},
        "responses": {200: answer, **errors(*statuses, form=form)},
        "response_model": None,
    }


_EVENT_BODY: Final = json_body(ref("BehaviorEvent"), EVENT_EXAMPLE)
_EVENT_STATUSES: Final = (400, 413, 415, 500, 503)

TRACK: Final = _call(
    "Track one event; 200 means that all in-sync replicas have it",
    request=_EVENT_BODY,
    answer=json_body(ref("Tracked"), _TRACKED_EXAMPLE, "The event was taken"),
    statuses=_EVENT_STATUSES,
)
VALIDATE: Final = _call(
    "What track would answer; nothing is sent",
    request=_EVENT_BODY,
    answer=json_body(ref("Tracked"), _TRACKED_EXAMPLE, "The event would be taken"),
    statuses=_EVENT_STATUSES,
)
BATCH: Final = _call(
    f"Track 1 to {MAX_BATCH_EVENTS} events; good ones are taken when others fail",
    request=json_body(
        {
            "type": "object",
            "required": ["events"],
            "properties": {
                "events": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_BATCH_EVENTS,
                    "items": ref("BehaviorEvent"),
                }
            },
        },
        {"events": [EVENT_EXAMPLE]},
    ),
    answer=json_body(
        ref("BatchReceipt"),
        {
            "success": False,
            "total": 2,
            "succeeded": 1,
            "failed": 1,
            "errors": [{"index": 1, "errors": [ISSUE_EXAMPLE]}],
        },
        "What became of each event",
    ),
    statuses=_EVENT_STATUSES,
)
BATCH["responses"][503]["content"]["application/json"]["schema"] = {"anyOf": [ref("Error"), ref("BatchReceipt")]}
GAME: Final = _call(
    "The game form of an event",
    request=json_body(
        {
            "type": "object",
            "required": ["user_id", "game_id", "behavior_type"],
            "properties": {
                "user_id": _id(),
                "game_id": _id(),
                "behavior_type": {"type": "string"},
                "duration": {"type": ["number", "null"], "description": "seconds, whole; required of a play"},
                "bet_amount": {"type": ["number", "null"], "description": "not below 0; required of a bet"},
                "win_amount": {"type": ["number", "null"], "description": "not below 0"},
                "scenario_id": _optional(_id(MAX_SCENARIO_ID)) | {"default": "game"},
                "context": {
                    "type": ["object", "null"],
                    "properties": {
                        "device": {
                            "type": ["string", "null"],
                            "enum": [*map(str, DeviceType), "desktop", None],
                            "description": "else what the header User-Agent says",
                        },
                        "scene": {"type": ["string", "null"]},
                        "position": {"type": ["integer", "null"], "minimum": 0, "maximum": INT64_MAX},
                        "request_id": {"type": ["string", "null"]},
                    },
                },
            },
        },
        _GAME_EXAMPLE,
    ),
    answer=json_body(
        coded_answer({"type": "object", "required": ["event_id"], "properties": {"event_id": {"type": "string"}}}),
        coded_example({"event_id": "evt_0123456789abcdef"}),
        "Taken",
    ),
    statuses=_EVENT_STATUSES,
    form="CodedError",
)
