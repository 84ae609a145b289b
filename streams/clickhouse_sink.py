"""The ClickHouse sink: rows of many partitions in one columnar insert a table, then the fence.

Promise: at least once, effectively once when read with final = 1 (the platform's profile). An insert carries a
deduplication token made of the Kafka ranges in it, so the same insert made again adds nothing, in each table partition
and materialised view that already has it, and completes the others; after a crash the rows behind the last fence are
inserted again in other groups, and the tables collapse them by event_id, or by topic, partition and offset. A fence row
is written after the rows it covers, never before; an insert that spans table partitions is not atomic, so the highest
offset present is no fence. ClickHouse away or overloaded: the call waits, for ever.

Validated records go to the engine as the Avro they are. When it refuses such a file, its records are decoded here, and
a row that is still refused is found by halving; what cannot be stored is parked in `rejected_behaviors`.
"""

import asyncio
import hashlib
import re
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import lz4.frame
import structlog
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, DataError
from faust.types import TP

from schemas.ages import AGES
from schemas.clock import Clock, system_clock
from schemas.event import Event
from schemas.metrics import ROWS_INSERTED
from streams.outages import outlast
from streams.rows import (
    EVENT_COLUMNS,
    REJECTED_BEHAVIORS,
    REJECTED_COLUMNS,
    USER_BEHAVIORS,
    VALIDATED_FILES,
    Rows,
    as_columns,
    decoded_events,
    event_columns,
    refused_row,
)
from streams.session_rows import SESSION_COLUMNS, SESSIONS
from streams.transport import Batch, Record

log = structlog.get_logger()
T = TypeVar("T")

FENCES: Final = "fences"
FENCE_COLUMNS: Final = ("consumer", "kafka_topic", "kafka_partition", "next_offset")

# The engine's codes for rows it cannot take; every other code may pass: memory, too many parts, read only, ...
DATA_CODES: Final = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349})
REFUSALS: Final = (DataError, ValueError, TypeError, OverflowError, struct.error)
ERROR_CODE: Final = re.compile(r"Code: (\d+)")
AWAY: Final = (ClickHouseError, OSError)
# Of a file: an error of the Avro library, or no memory for a string that a damaged length makes enormous.
FILE_CODES: Final = DATA_CODES | {1001, 173, 241}
# An insert may span months. A view behind the table dedups by itself, so that a retry completes it. Rows of one key are
# left to merges and FINAL, which look for them anyway.
INSERT_SETTINGS: Final = {
    "max_partitions_per_insert_block": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "optimize_on_insert": 0,
}


class RowsRefusedError(Exception):
    """The engine, or its client, cannot take some row of an insert; waiting would not help."""


class ClickHouseSink:
    """Inserts groups of batches on behalf of one consumer."""

    def __init__(self, client: AsyncClient, *, consumer: str = "analytics", clock: Clock = system_clock) -> None:
        self._client = client
        self._consumer = consumer
        self._clock = clock
        self._types: dict[str, Any] = {}

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        """The fence of each partition that has one."""
        return await outlast("clickhouse", lambda: self._fences(tps), AWAY)

    async def _fences(self, tps: Collection[TP]) -> dict[TP, int]:
        answer = await self._client.query(
            "SELECT kafka_topic, kafka_partition, max(next_offset) FROM fences"
            " WHERE consumer = {consumer:String} AND kafka_topic IN {topics:Array(String)}"
            " GROUP BY kafka_topic, kafka_partition",
            parameters={"consumer": self._consumer, "topics": sorted({tp.topic for tp in tps})},
        )
        found = {TP(topic, partition): int(offset) for topic, partition, offset in answer.result_rows}
        return {tp: found[tp] for tp in tps if tp in found}

    async def insert(self, batches: Sequence[Batch], rows: Sequence[Rows]) -> None:
        """Return when the rows of all batches are in their tables."""
        token = token_of(batches)
        refused = await self._insert_validated([record for part in rows for record in part.validated], token)
        refused += await self._insert_events([event for part in rows for event in part.events], token + "older")
        sessions = [row for part in rows for row in part.sessions]
        await self._insert(SESSIONS, SESSION_COLUMNS, sessions, as_columns, token)
        rejected = [row for part in rows for row in part.rejected] + refused
        await self._insert(REJECTED_BEHAVIORS, REJECTED_COLUMNS, rejected, as_columns, token)
        for part in rows:
            AGES.observe("clickhouse", part.tenant, part.arrivals, self._clock())

    async def move_fences(self, batches: Sequence[Batch]) -> None:
        """Note that everything up to the end of `batches`, in the order of each partition, is in the tables."""
        ends = {batch.tp: batch.next_offset for batch in batches}
        rows = [(self._consumer, tp.topic, tp.partition, offset) for tp, offset in ends.items()]
        await self._insert(FENCES, FENCE_COLUMNS, rows, as_columns, "fence:" + token_of(batches))

    async def _insert_validated(self, records: Sequence[Record], token: str) -> list[tuple[Any, ...]]:
        """Insert events as they came; answers a rejected row for each that cannot be stored."""
        if not records:
            return []
        file = await asyncio.to_thread(_packed_file, records)
        try:
            await outlast("clickhouse", lambda: self._try_file(file, token), AWAY)
            ROWS_INSERTED.labels(USER_BEHAVIORS).inc(len(records))
            return []
        except RowsRefusedError as error:
            log.warning("file_refused", table=USER_BEHAVIORS, records=len(records), error=str(error)[:500])
        events, parked = decoded_events(records)
        return parked + await self._insert_events(events, token + "decoded")

    async def _try_file(self, file: bytes, token: str) -> None:
        with refusals(FILE_CODES):
            await self._client.raw_insert(
                USER_BEHAVIORS,
                tuple(EVENT_COLUMNS),
                file,
                settings=INSERT_SETTINGS | {"insert_deduplication_token": token},
                fmt="Avro",
                compression="lz4",
            )

    async def _insert_events(self, events: Sequence[Event], token: str) -> list[tuple[Any, ...]]:
        refused = await self._insert(USER_BEHAVIORS, tuple(EVENT_COLUMNS), events, event_columns, token)
        return [refused_row(event, why) for event, why in refused]

    async def _insert(
        self,
        table: str,
        columns: tuple[str, ...],
        rows: Sequence[T],
        to_columns: Callable[[Sequence[T]], list[list[Any]]],
        token: str,
    ) -> list[tuple[T, str]]:
        """Insert `rows`; answers those that were refused, and why."""
        if not rows:
            return []
        try:
            data = to_columns(rows)
            await outlast("clickhouse", lambda: self._try(table, columns, data, token), AWAY)
            ROWS_INSERTED.labels(table).inc(len(rows))
            return []
        except RowsRefusedError as error:
            if len(rows) == 1:
                log.error("row_refused", table=table, error=str(error))
                return [(rows[0], str(error))]
        half = len(rows) // 2
        first = await self._insert(table, columns, rows[:half], to_columns, token + "<")
        return first + await self._insert(table, columns, rows[half:], to_columns, token + ">")

    async def _try(self, table: str, columns: tuple[str, ...], data: list[list[Any]], token: str) -> None:
        with refusals(DATA_CODES):
            await self._client.insert(
                table,
                data,
                column_names=columns,
                column_types=await self._column_types(table, columns),
                column_oriented=True,
                settings=INSERT_SETTINGS | {"insert_deduplication_token": token},
            )

    async def _column_types(self, table: str, columns: tuple[str, ...]) -> Any:
        """Asked once a table: the DDL says them, and nobody else."""
        if table not in self._types:
            context = await self._client.create_insert_context(table, columns)
            self._types[table] = context.column_types
        return self._types[table]


@contextmanager
def refusals(codes: Collection[int]) -> Iterator[None]:
    """Raises RowsRefusedError for what the client, or the engine with one of `codes`, says against the rows."""
    try:
        yield
    except REFUSALS as error:
        raise RowsRefusedError(repr(error)) from error
    except DatabaseError as error:
        if error_code(error) in codes:
            raise RowsRefusedError(str(error)) from error
        raise


def _packed_file(records: Sequence[Record]) -> bytes:
    packed: bytes = lz4.frame.compress(VALIDATED_FILES.file_of(record.value or b"" for record in records))
    return packed


def token_of(batches: Sequence[Batch]) -> str:
    """Names the Kafka ranges of a group of batches: the same group, the same token."""
    ranges = sorted(f"{b.topic}/{b.partition}/{b.first_offset}-{b.last_offset}" for b in batches)
    return hashlib.sha256("|".join(ranges).encode()).hexdigest()


def error_code(error: DatabaseError) -> int | None:
    """The engine's number, None where the message has none."""
    found = ERROR_CODE.search(str(error))
    return int(found[1]) if found else None
