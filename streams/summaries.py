"""A session that has ended as a record of `session-summaries-{tenant}`: plain functions. No I/O."""

from typing import Final

from schemas.single_object import load_codec
from streams.features.closing import Summary
from streams.publisher import Outgoing

SEQUENCE_HEADER: Final = "millrace-sequence"
COUNT: Final = "a:"
_CODEC: Final = load_codec("session_summary")


def summary_record(tenant: str, summary: Summary) -> Outgoing:
    """The record, keyed by the user, its place in the outbox in a header. Raises ValueError for what is no session."""
    held = summary.fields
    experiment, _, group = held.get("experiment", "").partition("/")
    try:
        value = _CODEC.encode(
            {
                "session_id": held["session_id"],
                "tenant_id": tenant,
                "user_id": summary.user_id,
                "scenario_id": held["scenario"],
                "started_at": int(held["started_at"]),
                "ended_at": int(held["last_at"]),
                "events": int(held["events"]),
                "items": int(held["items"]),
                "dwell_ms": int(held["dwell_ms"]),
                "actions": {name[len(COUNT) :]: int(held[name]) for name in held if name.startswith(COUNT)},
                "device_type": held["device"],
                "experiment_id": experiment or None,
                "experiment_group": group or None,
                "late": int(held["late"]),
                "closed_at": int(held["closes_at"]),
            }
        )
    except LookupError as error:
        raise ValueError(f"the session has no {error}") from error
    return Outgoing(summary.user_id.encode(), value, ((SEQUENCE_HEADER, summary.sequence.encode()),))
