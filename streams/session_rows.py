"""Session summaries as rows of `sessions`: plain functions. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.single_object import load_codec
from schemas.topics import SUMMARIES_PREFIX, tenant_of
from streams.transport import Record

SESSIONS: Final = "sessions"
SESSION_COLUMNS: Final = (
    *("session_id", "tenant_id", "user_id", "scenario_id", "started_at", "ended_at"),
    *("events", "items", "actions", "dwell_ms", "ctr", "device_type", "experiment_id", "experiment_group"),
    *("late", "closed_at", "kafka_partition", "kafka_offset"),
)
MAX_COUNT: Final = 2**32 - 1
_CODEC: Final = load_codec("session_summary")


def session_row(record: Record) -> tuple[Any, ...]:
    """A row of the summary in `record`, in the order of SESSION_COLUMNS.

    A summary that does not say when its session was closed was closed when Kafka had it. `ctr` is None where nothing
    was shown. Raises ValueError for a value that is no summary, one of another tenant than its topic's, and one that
    the table cannot hold.
    """
    summary = _CODEC.decode(record.value or b"")
    if summary["tenant_id"] != tenant_of(record.topic, SUMMARIES_PREFIX):
        raise ValueError(f"the summary names the tenant {summary['tenant_id'][:63]!r}")
    counts = (summary["events"], summary["items"], summary["late"], *summary["actions"].values())
    if not all(0 <= count <= MAX_COUNT for count in counts):
        raise ValueError(f"a count is not between 0 and {MAX_COUNT}")
    derived = {
        "ctr": click_through(summary["actions"]),
        "late": summary["late"],
        "closed_at": summary["closed_at"] or record.timestamp,
        "kafka_partition": record.partition,
        "kafka_offset": record.offset,
    }
    whole = summary | derived
    return tuple(whole[name] for name in SESSION_COLUMNS)


def click_through(actions: Mapping[str, int]) -> float | None:
    """Clicks an impression."""
    impressions = actions.get("impression", 0)
    return actions.get("click", 0) / impressions if impressions else None
