"""Plain factories for test data: each takes what the test is about and fills in the rest."""

from typing import Any

from schemas.event import Context, Event

NOON = 1_760_000_000_000  # some moment in 2025, ms


def make_event(**fields: Any) -> Event:
    """An accepted event; `device_type` and the like are passed in `context`."""
    defaults: dict[str, Any] = {
        "event_id": "evt_0123456789abcdef",
        "tenant_id": "acme",
        "scenario_id": "vlog_feed",
        "user_id": "u1",
        "item_id": "i1",
        "action_type": "play",
        "timestamp": NOON,
        "context": Context("mobile"),
        "context_json": '{"device_type":"mobile"}',
        "received_at": NOON + 5,
        "scenario_type": "video",
        "weight": 1.0,
        "partition": 0,
        "offset": 0,
    }
    return Event(**(defaults | fields))


def make_body(**fields: Any) -> dict[str, Any]:
    """The JSON object a client sends; a field set to None is left out."""
    defaults: dict[str, Any] = {
        "event_id": "evt_0123456789abcdef",
        "tenant_id": "acme",
        "scenario_id": "vlog_feed",
        "user_id": "u1",
        "item_id": "i1",
        "action_type": "play",
        "timestamp": NOON,
        "context": {"device_type": "mobile"},
    }
    return {name: value for name, value in (defaults | fields).items() if value is not None}
