"""What ClickHouse says of one user's past: the events as they were judged then, and how far event time had come.

A resend of an event replaces its row once the table has merged: such an event counts as of its resend.
"""

from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.event import Context, Event
from streams.features.model import DAY_MS
from streams.features.watermark import Closing

MAX_EVENTS: Final = 20_000  # the user's newest
MARKS_FROM_MS: Final = 7 * DAY_MS  # how far back it is asked when sessions were closed
_OF_USER: Final = """
    SELECT event_id, scenario_id, scenario_type, user_id, item_id, action_type, toUnixTimestamp64Milli(timestamp),
        toUnixTimestamp64Milli(received_at), device_type, experiment_id, experiment_group, weight, positive, dwell_ms,
        category, kafka_partition, kafka_offset
    FROM user_behaviors
    WHERE tenant_id = {tenant:String} AND user_id = {user:String}
        AND received_at <= fromUnixTimestamp64Milli({at:Int64})
    ORDER BY received_at DESC, kafka_offset DESC LIMIT {most:UInt32} SETTINGS final = 0
"""
_MARKED: Final = """
    WITH marked AS (
        SELECT user_id, kafka_partition AS partition, kafka_offset AS offset, greatest(
            least(toUnixTimestamp64Milli(timestamp), toUnixTimestamp64Milli(received_at)) - {lateness:Int64},
            toUnixTimestamp64Milli(received_at) - {idle:Int64}
        ) AS mark
        FROM user_behaviors
        WHERE tenant_id = {tenant:String} AND received_at <= fromUnixTimestamp64Milli({at:Int64})
            AND received_at >= fromUnixTimestamp64Milli({since:Int64})
    )
"""
_AT_EVENTS: Final = (
    _MARKED  # noqa: S608 - constants of this file
    + """
    SELECT partition, offset, reached FROM (
        SELECT user_id, partition, offset,
            max(mark) OVER (PARTITION BY partition ORDER BY offset ROWS UNBOUNDED PRECEDING) AS reached
        FROM marked
    ) WHERE user_id = {user:String} SETTINGS final = 0
    """
)
_AT_END: Final = _MARKED + "SELECT partition, max(mark) FROM marked GROUP BY partition SETTINGS final = 0"  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Past:
    """`events` lie in the order of the stream: by offset within a partition, by arrival between them. `marks`: where
    the watermark stood, ms, at events by (partition, offset), and `last_marks` in the end, by partition."""

    events: list[Event]
    marks: dict[tuple[int, int], int]
    last_marks: dict[int, int]
    is_whole: bool


async def read_past(client: AsyncClient, tenant: str, user: str, at_ms: int, closing: Closing) -> Past:
    """Everything of the user that had arrived at `at_ms`. Raises ClickHouseError."""
    given = {"tenant": tenant, "user": user, "at": at_ms}
    closed = {"since": max(0, at_ms - MARKS_FROM_MS), "lateness": closing.lateness_ms, "idle": closing.idle_ms}
    rows = (await client.query(_OF_USER, parameters={**given, "most": MAX_EVENTS})).result_rows
    if not rows:
        return Past([], {}, {}, is_whole=True)
    marks = (await client.query(_AT_EVENTS, parameters=given | closed)).result_rows
    ends = (await client.query(_AT_END, parameters=given | closed)).result_rows
    return Past(
        in_stream_order([_event(tenant, *row) for row in rows]),
        {(partition, offset): reached for partition, offset, reached in marks},
        dict(ends),
        is_whole=len(rows) < MAX_EVENTS,
    )


def in_stream_order(events: list[Event]) -> list[Event]:
    """A record comes no earlier than those before it in its partition, whatever a producer wrote into it."""
    arrived: dict[tuple[int, int], int] = {}
    latest: dict[int, int] = {}
    for event in sorted(events, key=lambda each: (each.partition, each.offset)):
        latest[event.partition] = max(event.received_at, latest.get(event.partition, 0))
        arrived[event.partition, event.offset] = latest[event.partition]
    return sorted(events, key=lambda each: (arrived[each.partition, each.offset], each.partition, each.offset))


def _event(
    tenant: str,
    event_id: str,
    scenario_id: str,
    scenario_type: str,
    user_id: str,
    item_id: str,
    action_type: str,
    timestamp: int,
    received_at: int,
    device_type: str,
    *rest: Any,
) -> Event:
    experiment_id, experiment_group, weight, positive, dwell_ms, category, partition, offset = rest
    return Event(
        event_id=event_id,
        tenant_id=tenant,
        scenario_id=scenario_id,
        scenario_type=scenario_type,
        user_id=user_id,
        item_id=item_id,
        action_type=action_type,
        timestamp=timestamp,
        received_at=received_at,
        context=Context(device_type),
        context_json="{}",
        experiment_id=experiment_id,
        experiment_group=experiment_group,
        weight=weight,
        positive=positive,
        dwell_ms=dwell_ms,
        category=category,
        partition=partition,
        offset=offset,
    )
