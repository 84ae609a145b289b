"""Example events for what went wrong: accepted ones as a client sends them, rejected ones as they came."""

import asyncio
import base64
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ingest_api.event_store import EventStore
from tracking_configs.json_text import decode_raws

MAX_EXAMPLE_BYTES: Final = 4096

# Rows are found by their places, so it does not matter that `final` has not merged what was sent again.
_ACCEPTED: Final = """
    SELECT kafka_partition, kafka_offset, event_id, user_id, item_id, action_type, toUnixTimestamp64Milli(timestamp),
        context, position, experiment_id, experiment_group, scenario_data, extra_data
    FROM user_behaviors
    WHERE tenant_id = {tenant:String} AND scenario_id = {scenario:String}
        AND timestamp >= fromUnixTimestamp64Milli({since:Int64})
        AND timestamp <= fromUnixTimestamp64Milli({until:Int64})
        AND (kafka_partition, kafka_offset) IN {places:Array(Tuple(Int32, Int64))}
    SETTINGS final = 0
"""
_COLUMNS: Final = (
    *("event_id", "user_id", "item_id", "action_type", "timestamp"),
    *("context", "position", "experiment_id", "experiment_group", "scenario_data", "extra_data"),
)
_OBJECTS: Final = ("context", "scenario_data", "extra_data")
# 5468 characters of base64 are 4101 bytes: enough to see that there are more than 4096.
_REJECTED: Final = """
    SELECT kafka_topic, kafka_partition, kafka_offset, substring(original, 1, 5468)
    FROM rejected_behaviors
    WHERE tenant_id = {tenant:String} AND scenario_id = {scenario:String}
        AND timestamp >= fromUnixTimestamp64Milli({since:Int64})
        AND timestamp <= fromUnixTimestamp64Milli({until:Int64})
        AND (kafka_partition, kafka_offset) IN {places:Array(Tuple(Int32, Int64))}
    SETTINGS final = 0
"""


class Place(NamedTuple):
    """Where a judged event is stored. `event_id` is empty where it was rejected; event time and arrival in ms."""

    timestamp: int
    received_at: int
    event_id: str
    topic: str
    partition: int
    offset: int


class ExampleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, `received_at` ms. `event` is its JSON object, or, where it is none or is cut to 4 KiB, its text."""

    event: msgspec.Raw
    is_cut: bool
    event_id: str | None
    kafka_topic: str
    kafka_partition: int
    kafka_offset: int
    received_at: int


async def examples_at(
    events: EventStore, tenant: str, scenario: str, places: Collection[Place]
) -> dict[Place, ExampleEvent]:
    """The events at those places that are still there. Raises EventsUnavailableError."""
    accepted = [place for place in places if place.event_id]
    rejected = [place for place in places if not place.event_id]
    bodies = await asyncio.gather(
        _accepted_bodies(events, tenant, scenario, accepted), _rejected_bodies(events, tenant, scenario, rejected)
    )
    return {place: _example(place, body) for found in bodies for place, body in found.items()}


async def _accepted_bodies(
    events: EventStore, tenant: str, scenario: str, places: Sequence[Place]
) -> dict[Place, bytes]:
    wanted = {(place.partition, place.offset, place.event_id): place for place in places}
    rows = await events.rows(_ACCEPTED, _parameters(tenant, scenario, places)) if places else ()
    return {wanted[key]: _body(tenant, scenario, row[2:]) for row in rows if (key := tuple(row[:3])) in wanted}


async def _rejected_bodies(
    events: EventStore, tenant: str, scenario: str, places: Sequence[Place]
) -> dict[Place, bytes]:
    wanted = {(place.topic, place.partition, place.offset): place for place in places}
    rows = await events.rows(_REJECTED, _parameters(tenant, scenario, places)) if places else ()
    return {wanted[key]: base64.b64decode(row[3]) for row in rows if (key := tuple(row[:3])) in wanted}


def _parameters(tenant: str, scenario: str, places: Sequence[Place]) -> dict[str, Any]:
    times = [place.timestamp for place in places]
    return {
        "tenant": tenant,
        "scenario": scenario,
        "since": min(times),
        "until": max(times),
        "places": [(place.partition, place.offset) for place in places],
    }


def _body(tenant: str, scenario: str, row: Sequence[Any]) -> bytes:
    """An accepted event as a client sends it."""
    given = {name: value for name, value in zip(_COLUMNS, row, strict=True) if value is not None}
    objects = {name: msgspec.Raw(given[name]) for name in _OBJECTS if name in given}
    return msgspec.json.encode({"tenant_id": tenant, "scenario_id": scenario} | given | objects)


def _example(place: Place, body: bytes) -> ExampleEvent:
    is_cut = len(body) > MAX_EXAMPLE_BYTES
    fields = None if is_cut else _fields_of(body)
    text = body[:MAX_EXAMPLE_BYTES].decode(errors="ignore" if is_cut else "replace")
    return ExampleEvent(
        event=msgspec.Raw(body if fields is not None else msgspec.json.encode(text)),
        is_cut=is_cut,
        event_id=place.event_id or _event_id(fields or {}),
        kafka_topic=place.topic,
        kafka_partition=place.partition,
        kafka_offset=place.offset,
        received_at=place.received_at,
    )


def _fields_of(body: bytes) -> dict[str, msgspec.Raw] | None:
    """The fields of a JSON object, None for any other value."""
    try:
        body.decode()
        return decode_raws(body)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return None


def _event_id(fields: dict[str, msgspec.Raw]) -> str | None:
    try:
        return msgspec.json.decode(fields.get("event_id", b"null"), type=str | None)
    except msgspec.MsgspecError:
        return None
