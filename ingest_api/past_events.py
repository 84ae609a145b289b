"""The last events of one scenario: accepted ones from ClickHouse, rejected and raw ones from Kafka.

A rejected or raw event belongs to the scenario that it names; one that names none that can be read belongs to none.
Where Kafka does not answer, KafkaError, OSError or TimeoutError is raised; where ClickHouse does not,
EventsUnavailableError.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ingest_api.event_store import EventStore, Rows
from ingest_api.topic_tail import last_records
from schemas.clock import Clock, system_clock
from schemas.dead_letter import decode_dead_letter
from schemas.kafka import KafkaDsn
from schemas.limits import MAX_EVENT_BYTES
from schemas.topics import raw_topic, rejected_topic
from schemas.verdict import Code, Issue
from tracking_configs.base import ABSENT
from tracking_configs.json_text import is_too_deep, plain
from tracking_configs.past_event import BASE_WARNINGS, PastEvent, RefusedEvent, TakenEvent

HOUR_MS: Final = 60 * 60 * 1000
DAY_MS: Final = 24 * HOUR_MS
CLOCKS_DIFFER_MS: Final = 60 * 1000  # a dead letter has its worker's time, an arrival has the broker's
RAW_LOOKED_AT: Final = 10_000  # newest records of a tenant, in which those of one scenario are looked for

# Resent events are told apart here: `final` would merge the scenario's whole history for its newest rows.
_NEWEST: Final = """
    FROM user_behaviors
    WHERE tenant_id = {tenant:String} AND scenario_id = {scenario:String}
        AND received_at >= fromUnixTimestamp64Milli({since:Int64})
    ORDER BY received_at DESC LIMIT {n:UInt32} SETTINGS final = 0
"""
_TAKEN: Final = (
    """
    SELECT event_id, user_id, item_id, action_type, toUnixTimestamp64Milli(timestamp), context, scenario_data,
        arrayMap(
            w -> [w.field, w.code, w.message], arrayFilter(w -> w.code IN {base:Array(String)}, validation_warnings)
        ), toUnixTimestamp64Milli(received_at)
    """
    + _NEWEST
)
_STORED: Final = (
    """
    SELECT event_id, user_id, item_id, action_type, toUnixTimestamp64Milli(timestamp), context,
        position, experiment_id, experiment_group, scenario_data, extra_data
    """
    + _NEWEST
)
_STORED_FIELDS: Final = (
    *("event_id", "user_id", "item_id", "action_type", "timestamp", "context"),
    *("position", "experiment_id", "experiment_group", "scenario_data", "extra_data"),
)
_OBJECTS: Final = ("context", "scenario_data", "extra_data")


class _Named(msgspec.Struct, gc=False):
    scenario_id: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)  # not JSON, not UTF-8, not base64


async def past_events(
    events: EventStore, kafka: KafkaDsn, tenant: str, scenario: str, n: int, clock: Clock = system_clock
) -> list[PastEvent]:
    """The newest `n` events by their arrival, newest last, each once.

    Rejected ones are looked for among the tenant's newest `n` dead letters.
    """
    rows = await _taken_rows(events, tenant, scenario, n, clock)
    oldest = rows[-1][-1] if len(rows) >= n else 0  # of what came before it, nobody knows which were accepted
    refused = await _refused(kafka, tenant, scenario, n, max(oldest - CLOCKS_DIFFER_MS, 0))
    found: list[PastEvent] = [_taken(tenant, scenario, row) for row in _each_once(rows)]
    found.extend(event for event in refused if event.received_at >= oldest)
    return sorted(found, key=_arrival)[-n:]


async def raw_events(kafka: KafkaDsn, tenant: str, scenario: str, n: int) -> list[dict[str, Any]]:
    """The newest `n` raw records that are JSON objects of this scenario, as large and deep as an event may be.

    Newest last. They are looked for among the tenant's newest RAW_LOOKED_AT.
    """
    found: list[dict[str, Any]] = []
    for record in reversed(await last_records(kafka, raw_topic(tenant), RAW_LOOKED_AT)):
        body = _raw(record.value or b"", scenario)
        if body is not None:
            found.append(body)
        if len(found) == n:
            break
    return found[::-1]


async def stored_events(
    events: EventStore, tenant: str, scenario: str, hours: int, n: int, clock: Clock = system_clock
) -> list[dict[str, Any]]:
    """The newest `n` accepted events of the last `hours`, newest last, each once, as a client sends them."""
    rows = await events.rows(_STORED, _parameters(tenant, scenario, n, clock() - hours * HOUR_MS))
    return [_stored(tenant, scenario, row) for row in _each_once(rows)]


async def _taken_rows(events: EventStore, tenant: str, scenario: str, n: int, clock: Clock) -> Rows:
    """Newest first; of the last day where those are enough, so that a big table need not be looked through."""
    rows: Rows = ()
    for since in (clock() - DAY_MS, 0):
        rows = await events.rows(_TAKEN, {**_parameters(tenant, scenario, n, since), "base": list(BASE_WARNINGS)})
        if len(rows) >= n:
            break
    return rows


def _parameters(tenant: str, scenario: str, n: int, since_ms: int) -> dict[str, Any]:
    return {"tenant": tenant, "scenario": scenario, "n": n, "since": since_ms}


def _each_once(rows: Rows) -> list[Sequence[Any]]:
    """Rows that come newest first, newest last: of an event that was resent, the newest."""
    newest: dict[str, Sequence[Any]] = {}
    for row in rows:
        newest.setdefault(row[0], row)
    return list(reversed(newest.values()))


def _taken(tenant: str, scenario: str, row: Sequence[Any]) -> TakenEvent:
    event_id, user_id, item_id, action_type, timestamp, context, scenario_data, warnings, received_at = row
    return TakenEvent(
        event_id=event_id,
        tenant_id=tenant,
        scenario_id=scenario,
        user_id=user_id,
        item_id=item_id,
        action_type=action_type,
        timestamp=timestamp,
        context=msgspec.Raw(context),
        received_at=received_at,
        scenario_data=ABSENT if scenario_data is None else msgspec.Raw(scenario_data),
        base_warnings=tuple(Issue(field, Code(code), message) for field, code, message in warnings),
    )


def _stored(tenant: str, scenario: str, row: Sequence[Any]) -> dict[str, Any]:
    body = {"tenant_id": tenant, "scenario_id": scenario}
    body |= {name: value for name, value in zip(_STORED_FIELDS, row, strict=True) if value is not None}
    return body | {name: plain(body[name].encode()) for name in _OBJECTS if name in body}


async def _refused(kafka: KafkaDsn, tenant: str, scenario: str, n: int, since_ms: int) -> list[RefusedEvent]:
    """The scenario's dead letters, each once: a worker that was killed may have written one twice."""
    once: dict[tuple[str, int, int], RefusedEvent] = {}
    for record in await last_records(kafka, rejected_topic(tenant), n, since_ms=since_ms or None):
        event = _refused_event(record.value or b"", scenario)
        if event is not None:
            once[event.topic, event.partition, event.offset] = event
    return list(once.values())


def _refused_event(value: bytes, scenario: str) -> RefusedEvent | None:
    """The event of a dead letter, where it names the scenario."""
    try:
        letter = decode_dead_letter(value)
        body = letter.original_bytes
        if _decode_named(body).scenario_id != scenario:
            return None
    except _UNREADABLE:
        return None
    return RefusedEvent(
        body=body,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        received_at=letter.timestamp,
    )


def _raw(value: bytes, scenario: str) -> dict[str, Any] | None:
    """The JSON object of a raw record, where it names the scenario."""
    if len(value) > MAX_EVENT_BYTES or is_too_deep(value):
        return None
    try:
        return _decode_object(value) if _decode_named(value).scenario_id == scenario else None
    except _UNREADABLE:
        return None


def _arrival(event: PastEvent) -> int:
    return event.received_at
