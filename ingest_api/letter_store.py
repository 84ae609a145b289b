"""Dead letters in ClickHouse, and what was replayed of them.

Promise: `mark` may be called again with the same replays, whoever else does: a letter has one row, the last one.
"""

import asyncio
import base64
import binascii
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from clickhouse_connect.driver.exceptions import ClickHouseError

from ingest_api.event_store import QUERY_TIMEOUT_S, EventStore
from ingest_api.letters import Cursor, Letter, Place, Replayed, ReplayOutcome, Wanted
from schemas.event import Event
from schemas.topics import raw_topic
from schemas.verdict import Code, Issue
from tracking_configs.errors import EventsUnavailableError

REPLAYS: Final = "dead_letter_replays"
REPLAY_COLUMNS: Final = (
    *("tenant_id", "kafka_topic", "kafka_partition", "kafka_offset"),
    *("event_id", "outcome", "replayed_at"),
)

MAX_FIELD: Final = 100_000  # of the arrays of a query, percent-encoded; ClickHouse takes fields of 128 KiB
PUNCTUATION: Final = 24  # of two strings in arrays, the same

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
_PLACE: Final = "kafka_topic, kafka_partition, kafka_offset"
_LETTERS: Final = f"""
    WITH page AS (
        SELECT {_PLACE}, timestamp, scenario_id, config_version, reason_codes, message, errors, original
        FROM rejected_behaviors FINAL
        WHERE tenant_id = {{tenant:String}} AND %(where)s
        ORDER BY {_POSITION} %(order)s LIMIT {{n:UInt32}}
    )
    SELECT {_PLACE}, toUnixTimestamp64Milli(timestamp), scenario_id, config_version, reason_codes, message,
        arrayMap(e -> [e.field, e.code, e.message], errors), original,
        event_id, outcome, toUnixTimestamp64Milli(replayed_at)
    FROM page
    LEFT JOIN (
        SELECT {_PLACE}, event_id, outcome, replayed_at FROM dead_letter_replays FINAL
        WHERE tenant_id = {{tenant:String}} AND ({_PLACE}) IN (SELECT {_PLACE} FROM page)
    ) AS replays USING ({_PLACE})
    ORDER BY {_POSITION} %(order)s
"""  # noqa: S608 - the parts are constants of this file, every value is a bound parameter
_STORED_IDS: Final = """
    SELECT DISTINCT event_id FROM user_behaviors
    WHERE tenant_id = {tenant:String} AND scenario_id IN {scenarios:Array(String)}
        AND toDate(timestamp) IN {days:Array(Date)} AND event_id IN {ids:Array(String)}
    SETTINGS final = 0
"""
_BEHIND: Final = f"{_POSITION} %s ({{c_time:Int64}}, {{c_topic:String}}, {{c_partition:Int32}}, {{c_offset:Int64}})"


class LetterStore(EventStore):
    """All letters and replays are of the tenant that is named. Raises EventsUnavailableError."""

    async def letters(
        self, tenant: str, wanted: Wanted, n: int, after: Cursor | None = None, *, newest_first: bool = False
    ) -> list[Letter]:
        """At most `n`, in the order of their arrival or the reverse, beginning behind the cursor."""
        parameters: dict[str, Any] = {"tenant": tenant, "n": n}
        where = [*_conditions(tenant, wanted, parameters), *_behind(after, newest_first, parameters)]
        query = _LETTERS % {"where": " AND ".join(where) or "true", "order": "DESC" if newest_first else "ASC"}
        return [_letter(row) for row in await self.rows(query, parameters)]

    async def letter(self, tenant: str, place: Place) -> Letter | None:
        parameters: dict[str, Any] = {"tenant": tenant, "n": 1}
        parameters |= {"topic": place.topic, "partition": place.partition, "offset": place.offset}
        where = "kafka_topic = {topic:String} AND kafka_partition = {partition:Int32} AND kafka_offset = {offset:Int64}"
        rows = await self.rows(_LETTERS % {"where": where, "order": "ASC"}, parameters)
        return _letter(rows[0]) if rows else None

    async def stored_ids(self, tenant: str, events: Iterable[Event]) -> set[str]:
        """Which of the events are stored as accepted ones, by their ids."""
        found: set[str] = set()
        for group in _groups(events):
            parameters = {
                "tenant": tenant,
                "scenarios": sorted({event.scenario_id for event in group}),
                "days": sorted({_day(event.timestamp) for event in group}),
                "ids": sorted({event.event_id for event in group}),
            }
            found |= {event_id for (event_id,) in await self.rows(_STORED_IDS, parameters)}
        return found

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
    if wanted.raw_only:
        parameters["gone"] = Code.USER_ERASED.value  # they keep no bytes
        yield "NOT has(reason_codes, {gone:String})"
    if wanted.offsets:
        parameters["offsets"] = list(wanted.offsets)
        yield "(kafka_partition, kafka_offset) IN {offsets:Array(Tuple(Int32, Int64))}"


def _behind(after: Cursor | None, newest_first: bool, parameters: dict[str, Any]) -> Iterable[str]:
    if after is not None:
        names = ("c_time", "c_topic", "c_partition", "c_offset")
        parameters |= zip(names, (after.timestamp, after.topic, after.partition, after.offset), strict=True)
        yield _BEHIND % ("<" if newest_first else ">")


def _groups(events: Iterable[Event]) -> Iterable[list[Event]]:
    """The events in as many groups as fit into the parameters of a query each."""
    group: list[Event] = []
    length = 0
    for event in events:
        size = len(quote(event.event_id)) + len(quote(event.scenario_id)) + PUNCTUATION
        if group and length + size > MAX_FIELD:
            yield group
            group, length = [], 0
        group.append(event)
        length += size
    if group:
        yield group


def _letter(row: Sequence[Any]) -> Letter:
    topic, partition, offset, timestamp, scenario, version, reasons, message, errors, original, *replayed = row
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
        replayed=_replayed(*replayed),
    )


def _replayed(event_id: str, outcome: str, at: int) -> Replayed | None:
    """None where the join has found nothing."""
    return Replayed(event_id, ReplayOutcome(outcome), at) if outcome else None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
