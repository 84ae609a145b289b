"""OpenAPI of the calls about dead letters: what they answer, with an example."""

from typing import Any, Final

import msgspec

from ingest_api.http.openapi_parts import Schema, json_body, ref
from ingest_api.letter_replay import Example, Report
from ingest_api.letters import Replayed, ReplayOutcome
from schemas.verdict import Code, Issue

_COMPONENTS: Final = msgspec.json.schema_components((Report, Replayed), ref_template="#/components/schemas/{name}")[1]
# Issue is described once for all calls; those of other calls carry further codes.
SCHEMAS: Final[dict[str, Schema]] = {
    name: _COMPONENTS[name] for name in ("Example", "ReplayOutcome", "Replayed", "Report")
}
_PLACE: Final = {"topic": "user-behaviors-acme", "partition": 0, "offset": 15, "timestamp": 1_790_000_000_000}
_MISSING: Final = Issue("user_id", Code.MISSING, "user_id is required")
_LETTER: Final[dict[str, Any]] = {
    **_PLACE,
    "scenario_id": "vlog_feed",
    "config_version": 3,
    "reason_codes": ["missing"],
    "message": "user_id: user_id is required",
    "errors": [_MISSING],
    "bytes": 14,
    "replayed": Replayed("evt_0123456789abcdef", ReplayOutcome.SENT, 1_790_000_300_000),
}
_EXAMPLE: Final = Example(0, 15, "still_rejected", '{"uid": "u1"}', '{"user_id": "u1"}', (_MISSING,))
_REPORT: Final = Report(
    selected=10, replayed=7, still_rejected=1, skipped_already=2, reasons={"missing": 1}, examples=[_EXAMPLE]
)


def _good(schema: Schema, example: Any, description: str) -> dict[int | str, Schema]:
    return {200: json_body(schema, msgspec.to_builtins(example), description)}


def _letter_schema(own: str) -> Schema:
    """Of a letter with its `own` part: a preview, or the original."""
    shown = ("topic", "scenario_id", "message", own)
    properties: Schema = {name: {"type": ["string", "null"] if name == "scenario_id" else "string"} for name in shown}
    properties |= {
        name: {"type": "integer"} for name in ("partition", "offset", "timestamp", "config_version", "bytes")
    }
    properties |= {
        "reason_codes": {"type": "array", "items": {"type": "string"}},
        "errors": {"type": "array", "items": ref("Issue")},
        "replayed": {"anyOf": [ref("Replayed"), {"type": "null"}]},
    }
    return {"type": "object", "required": sorted(properties), "properties": properties}


_PAGE_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["items", "next_cursor"],
    "properties": {
        "items": {"type": "array", "items": _letter_schema("preview")},
        "next_cursor": {"type": ["string", "null"]},
    },
}
_PARKED_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["tenant", "is_parked", "reasons"],
    "properties": {
        "tenant": {"type": "string"},
        "is_parked": {"type": "boolean"},
        "reasons": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}

LETTERS: Final = _good(
    _PAGE_SCHEMA,
    {"items": [_LETTER | {"preview": '{"uid": "u1"}'}], "next_cursor": None},
    "A page; `preview` is how the value begins",
)
LETTER: Final = _good(
    _letter_schema("original"),
    _LETTER | {"original": '{"uid": "u1"}', "encoding": "utf-8"},
    "The letter; `original` is in base64 where `encoding` says so",
)
REPORT: Final = _good(ref("Report"), _REPORT, "What became of the selected letters, or would")
PARKED: Final = _good(
    _PARKED_SCHEMA,
    {"tenant": "acme", "is_parked": True, "reasons": {"judge": "run"}},
    "By agent, what its breaker saw: ratio or run",
)
