"""Dead letters in ClickHouse, and what was replayed of them.

Promise: `mark` may be called again with the same replays, whoever else does: a letter has one row, the last one.
"""

import asyncio
import base64
import binascii
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from ingest_api.event_store import QUERY_TIMEOUT_S, EventStore
from ingest_api.letters import Cursor, Letter, Outcome, Place, Replayed, Wanted
from schemas.event import Event
from schemas.topics import raw_topic
from schemas.verdict import Code, Issue
from tracking_configs.errors import EventsUnavailableError

REPLAYS: Final = "dead_letter_replays"
REPLAY_COLUMNS: Final = (
    *("tenant_id", "kafka_topic", "kafka_partition", "kafka_offset"),
    *("event_id", "outcome", "replayed_at"),
)

_REPLAYED: Final = """
    (kafka_topic, kafka_partition, kafka_offset) {op} (
        SELECT kafka_topic, kafka_partition, kafka_offset FROM dead_letter_replays WHERE tenant_id = {{tenant:String}}
    )
"""
_CONDITIONS: Final = {  # of what may be wanted: the parameter's name, and the condition on it
    "reason": "has(reason_codes, {reason:String})",
    "scenario": "scenario_id = {scenario:String}",
    "since": "timestamp >= fromUnixTimestamp64Milli({since:Int64})",
    "until": "timestamp < fromUnixTimestamp64Milli({until:Int64})",
}
_POSITION: Final = "(toUnixTimestamp64Milli(timestamp), kafka_topic, kafka_partition, kafka_offset)"
_LETTERS: Final = f"""
    SELECT kafka_topic, kafka_partition, kafka_offset, toUnixTimestamp64Milli(timestamp), scenario_id, config_version,
        reason_codes, message, arrayMap(e -> [e.field, e.code, e.message], errors), original
    FROM rejected_behaviors FINAL
    WHERE tenant_id = {{tenant:String}} AND %s
    ORDER BY {_POSITION} %s LIMIT {{n:UInt32}}
"""  # noqa: S608 - the parts are constants of this file, every value is a bound parameter
_BEHIND: Final = f"{_POSITION} %s ({{c_time:Int64}}, {{c_topic:String}}, {{c_partition:Int32}}, {{c_offset:Int64}})"


class LetterStore(EventStore):
    """All letters and replays are of the tenant that is named. Raises EventsUnavailableError."""

    async def letters(
        self, tenant: str, wanted: Wanted, n: int, after: Cursor | None = None, *, newest_first: bool = False
    ) -> list[Letter]:
        """At most `n`, in the order of their arrival or the reverse, beginning behind the cursor."""
        parameters: dict[str, Any] = {"tenant": tenant, "n": n}
        where = [*_conditions(tenant, wanted, parameters), *_behind(after, newest_first, parameters)]
        query = _LETTERS % (" AND ".join(where) or "true", "DESC" if newest_first else "ASC")
        return [_letter(row) for row in await self.rows(query, parameters)]

    async def letter(self, tenant: str, place: Place) -> Letter | None:
        parameters: dict[str, Any] = {"tenant": tenant, "n": 1}
        parameters |= {"topic": place.topic, "partition": place.partition, "offset": place.offset}
        where = "kafka_topic = {topic:String} AND kafka_partition = {partition:Int32} AND kafka_offset = {offset:Int64}"
        rows = await self.rows(_LETTERS % (where, "ASC"), parameters)
        return _letter(rows[0]) if rows else None

    async def replays(self, tenant: str, places: Collection[Place]) -> Mapping[Place, Replayed]:
        """Those of the letters at `places` that were replayed."""
        if not places:
            return {}
        query = """
            SELECT kafka_topic, kafka_partition, kafka_offset, event_id, outcome, toUnixTimestamp64Milli(replayed_at)
            FROM dead_letter_replays FINAL
            WHERE tenant_id = {tenant:String} AND kafka_topic IN {topics:Array(String)}
                AND kafka_offset IN {offsets:Array(Int64)}
        """
        parameters = {
            "tenant": tenant,
            "topics": sorted({place.topic for place in places}),
            "offsets": sorted({place.offset for place in places}),
        }
        found = {
            Place(topic, partition, offset): Replayed(event_id, Outcome(outcome), at)
            for topic, partition, offset, event_id, outcome, at in await self.rows(query, parameters)
        }
        return {place: found[place] for place in places if place in found}

    async def stored_ids(self, tenant: str, events: Collection[Event]) -> set[str]:
        """Which of the events are stored as accepted ones, by their ids."""
        if not events:
            return set()
        query = """
            SELECT DISTINCT event_id FROM user_behaviors
            WHERE tenant_id = {tenant:String} AND scenario_id IN {scenarios:Array(String)}
                AND toDate(timestamp) IN {days:Array(Date)} AND event_id IN {ids:Array(String)}
            SETTINGS final = 0
        """
        parameters = {
            "tenant": tenant,
            "scenarios": sorted({event.scenario_id for event in events}),
            "days": sorted({_day(event.timestamp) for event in events}),
            "ids": sorted({event.event_id for event in events}),
        }
        return {event_id for (event_id,) in await self.rows(query, parameters)}

    async def mark(self, tenant: str, replays: Iterable[tuple[Place, Replayed]]) -> None:
        """Note what was replayed."""
        rows = [
            (
                tenant,
                *place,
                replayed.event_id,
                replayed.outcome.value,
                datetime.fromtimestamp(replayed.replayed_at / 1000, UTC),
            )
            for place, replayed in replays
        ]
        if not rows:
            return
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                client = await self._connected()
                await client.insert(REPLAYS, rows, REPLAY_COLUMNS)
        except (ClickHouseError, OSError, TimeoutError) as error:
            raise EventsUnavailableError("ClickHouse", str(error)[:200] or type(error).__name__) from error


def _conditions(tenant: str, wanted: Wanted, parameters: dict[str, Any]) -> Iterable[str]:
    for name, condition in _CONDITIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            parameters[name] = value
            yield condition
    if wanted.replayed is not None:
        yield _REPLAYED.format(op="IN" if wanted.replayed else "NOT IN")
    if wanted.offsets or wanted.raw_only:
        parameters["raw"] = raw_topic(tenant)
        yield "kafka_topic = {raw:String}"
    if wanted.offsets:
        parameters["offsets"] = list(wanted.offsets)
        yield "(kafka_partition, kafka_offset) IN {offsets:Array(Tuple(Int32, Int64))}"


def _behind(after: Cursor | None, newest_first: bool, parameters: dict[str, Any]) -> Iterable[str]:
    if after is not None:
        names = ("c_time", "c_topic", "c_partition", "c_offset")
        parameters |= zip(names, (after.timestamp, after.topic, after.partition, after.offset), strict=True)
        yield _BEHIND % ("<" if newest_first else ">")


def _letter(row: Sequence[Any]) -> Letter:
    topic, partition, offset, timestamp, scenario, version, reasons, message, errors, original = row
    return Letter(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        scenario_id=scenario,
        config_version=version,
        reason_codes=tuple(reasons),
        message=message,
        errors=tuple(Issue(field, Code(code), text) for field, code, text in errors),
        original=_bytes(original),
    )


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
