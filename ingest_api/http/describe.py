"""OpenAPI of the calls that read their body themselves: schemas, an example and every error status."""

from typing import Any, Final

from schemas.actions import BUILT_IN_ACTIONS
from schemas.event import DeviceType
from schemas.limits import MAX_BATCH_EVENTS, MAX_ID, MAX_SCENARIO_ID
from schemas.topics import TENANT_PATTERN

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def json_body(schema: Schema, example: Any, description: str = "") -> Schema:
    """A request body or an answer in JSON."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"content": content, "description": description} if description else {"content": content}


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
_ISSUE_EXAMPLE: Final[Schema] = {"field": "user_id", "code": "missing", "message": "user_id is required"}
_TRACE_ID: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_ERROR_EXAMPLE: Final[Schema] = {
    "success": False,
    "message": "Event rejected: user_id: user_id is required",
    "errors": [_ISSUE_EXAMPLE],
    "trace_id": _TRACE_ID,
}
_TRACKED_EXAMPLE: Final[Schema] = {
    "success": True,
    "event_id": "evt_0123456789abcdef",
    "message": "Event tracked successfully",
}


def _id(most: int = MAX_ID) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most}


SCHEMAS: Final[dict[str, Schema]] = {
    "BehaviorEvent": {
        "type": "object",
        "description": "One behaviour. `event_id` and `timestamp` are filled in where they are absent.",
        "required": ["tenant_id", "scenario_id", "user_id", "item_id", "action_type", "context"],
        "properties": {
            "event_id": _id() | {"description": "the deduplication key"},
            "tenant_id": {"type": "string", "pattern": f"^{TENANT_PATTERN.pattern}$"},
            "scenario_id": _id(MAX_SCENARIO_ID),
            "user_id": _id(),
            "item_id": _id(),
            "action_type": {
                "type": "string",
                "description": "built in, or declared by the tracking config",
                "examples": sorted(BUILT_IN_ACTIONS),
            },
            "timestamp": {"type": "integer", "description": "event time, ms since the Unix epoch, UTC"},
            "context": ref("BehaviorContext"),
            "experiment_id": _id(),
            "experiment_group": _id(),
            "position": {"type": "integer", "minimum": 0, "description": "the rank at which the item was shown"},
            "scenario_data": {
                "type": "object",
                "maxProperties": 1,
                "description": "exactly one key: `<template>_data` or `custom_data`",
            },
            "extra_data": {"type": "object", "description": "kept as is"},
        },
    },
    "BehaviorContext": {
        "type": "object",
        "required": ["device_type"],
        "additionalProperties": True,
        "properties": {
            "device_type": {"type": "string", "enum": [*map(str, DeviceType), "desktop"]},
            **{name: {"type": "string"} for name in ("os", "location", "ip", "scene", "request_id")},
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
    "BatchReceipt": {
        "type": "object",
        "required": ["success", "total", "succeeded", "failed"],
        "properties": {
            "success": {"type": "boolean", "description": "failed == 0"},
            "total": {"type": "integer"},
            "succeeded": {"type": "integer"},
            "failed": {"type": "integer"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["index", "errors"],
                    "properties": {
                        "index": {"type": "integer"},
                        "event_id": {"type": "string"},
                        "message": {"type": "string"},
                        "errors": {"type": "array", "items": ref("Issue")},
                    },
                },
            },
        },
    },
}

_STATUSES: Final = {
    400: "Bad base fields, or not an event at all",
    404: "No such thing",
    405: "The call has another method",
    409: "It exists already, or the change would break clients and is not applied",
    412: "The version in If-Match is not the current one, or another writer was faster",
    413: "The body, or the event, is too large",
    415: "The body is not JSON, or is compressed",
    500: "An error of the platform",
    503: "A server behind the door is away; `Retry-After` says when to come back. The event was not taken, or the"
    " message says that this is not known",
}


def errors(*statuses: int, form: str = "Error") -> dict[int | str, Schema]:
    """The error answers of a call."""
    example = (
        _ERROR_EXAMPLE if form == "Error" else {"code": 20001, "message": "...", "data": None, "trace_id": _TRACE_ID}
    )
    found: dict[int | str, Schema] = {}
    for status in statuses:
        found[status] = json_body(ref(form), example, _STATUSES[status])
        if status == 503:
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return found


def _call(
    summary: str, *, request: Schema | None, answer: Schema, statuses: tuple[int, ...], form: str = "Error"
) -> dict[str, Any]:
    """Keyword arguments of a route."""
    extra = {"requestBody": {"required": True, **request}} if request is not None else {}
    return {
        "summary": summary,
        "openapi_extra": extra,
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
            "errors": [{"index": 1, "errors": [_ISSUE_EXAMPLE]}],
        },
        "What became of each event",
    ),
    statuses=_EVENT_STATUSES,
)
HEALTH: Final = _call(
    "Whether Kafka answers, and what this process has counted",
    request=None,
    answer=json_body(
        {"type": "object"},
        {
            "status": "healthy",
            "kafka_available": True,
            "stats": {
                "total_events": 12,
                "kafka_success": 11,
                "kafka_failed": 0,
                "rejected": 1,
                "validation_warnings": 3,
                "success_rate": 100.0,
            },
        },
        "`success_rate`: per cent of the events sent to Kafka that it acknowledged",
    ),
    statuses=(500,),
)
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
                "duration": {"type": "integer", "minimum": 0, "description": "seconds; required of a play"},
                "bet_amount": {"type": "number", "minimum": 0, "description": "required of a bet"},
                "win_amount": {"type": "number", "minimum": 0},
                "scenario_id": _id(MAX_SCENARIO_ID) | {"default": "game"},
                "context": {
                    "type": "object",
                    "properties": {
                        "device": {"type": "string", "enum": [*map(str, DeviceType), "desktop"]},
                        "scene": {"type": "string"},
                        "position": {"type": "integer", "minimum": 0},
                        "request_id": {"type": "string"},
                    },
                },
            },
        },
        _GAME_EXAMPLE,
    ),
    answer=json_body(
        {"type": "object"}, {"code": 0, "message": "success", "data": {"event_id": "evt_0123456789abcdef"}}, "Taken"
    ),
    statuses=_EVENT_STATUSES,
    form="CodedError",
)
