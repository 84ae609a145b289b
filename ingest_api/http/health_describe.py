"""OpenAPI of the calls that say how the process is."""

from typing import Any, Final

from ingest_api.http.openapi_parts import Schema, errors, json_body

_STATS_EXAMPLE: Final = {
    "total_events": 12,
    "kafka_success": 11,
    "kafka_failed": 0,
    "rejected": 1,
    "validation_warnings": 3,
    "success_rate": 100.0,
}
_READY: Final[Schema] = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"enum": ["ready", "degraded", "not_ready"]},
        "checks": {"type": "object", "additionalProperties": {"type": "boolean"}, "description": "by server"},
    },
}
_CHECKS: Final = {"kafka": True, "configs": True, "redis": True, "mongo": True}


def _call(summary: str, responses: dict[int | str, Schema]) -> dict[str, Any]:
    """Keyword arguments of a route."""
    return {"summary": summary, "responses": responses | errors(500), "response_model": None}


BEHAVIOURS_HEALTH: Final = _call(
    "Whether Kafka answers, and what this process has counted",
    {
        200: json_body(
            {
                "type": "object",
                "required": ["status", "kafka_available", "stats"],
                "properties": {
                    "status": {"enum": ["healthy", "degraded"]},
                    "kafka_available": {"type": "boolean"},
                    "stats": {"type": "object", "additionalProperties": {"type": "number"}},
                },
            },
            {"status": "healthy", "kafka_available": True, "stats": _STATS_EXAMPLE},
            "`success_rate`: per cent of the events sent to Kafka that it acknowledged",
        )
    },
)
HEALTHZ: Final = _call(
    "The process lives",
    {
        200: json_body(
            {"type": "object", "required": ["status"], "properties": {"status": {"const": "alive"}}},
            {"status": "alive"},
            "It lives",
        )
    },
)
_ANSWERS: Final[dict[int | str, Schema]] = {
    200: json_body(_READY, {"status": "ready", "checks": _CHECKS}, "Events can be taken"),
    503: json_body(_READY, {"status": "not_ready", "checks": _CHECKS | {"kafka": False}}, "No event can be taken"),
}
READYZ: Final = _call("ready, degraded (events are taken), or 503 not_ready", _ANSWERS)
HEALTH: Final = _call("As /readyz", _ANSWERS)
METRICS: Final = _call(
    "Prometheus metrics",
    {
        200: {
            "description": "In Prometheus' text format",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": 'millrace_events_received_total{door="http",tenant="acme"} 12.0\n',
                }
            },
        }
    },
)
