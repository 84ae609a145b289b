"""The ClickHouse sink: rows of many partitions in one columnar insert a table, then the fence.

Promise: at least once, effectively once when read with final = 1 (the platform's profile). An insert carries a
deduplication token made of the Kafka ranges in it, so the same insert made again adds nothing; after a crash the
rows behind the last fence are inserted again in other groups, and the tables collapse them by event_id, or by
topic, partition and offset. A fence row is written after the rows it covers, never before; an insert that spans
table partitions is not atomic, so the highest offset present is no fence. ClickHouse away or overloaded: the call
waits, for ever. A row that the engine refuses is found by halving and parked in `rejected_behaviors`.
"""

import hashlib
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, DataError
from faust.types import TP

from schemas.ages import AGES
from schemas.clock import Clock, system_clock
from schemas.metrics import ROWS_INSERTED
from streams.outages import outlast
from streams.rows import (
    EVENT_COLUMNS,
    REJECTED_BEHAVIORS,
    REJECTED_COLUMNS,
    USER_BEHAVIORS,
    Rows,
    event_columns,
    refused_row,
    rejected_columns,
)
from streams.transport import Batch

log = structlog.get_logger()
T = TypeVar("T")

FENCES: Final = "fences"
FENCE_COLUMNS: Final = ("consumer", "kafka_topic", "kafka_partition", "next_offset")

# The engine's codes for rows it cannot take; every other code may pass: memory, too many parts, read only, ...
DATA_CODES: Final = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349})
REFUSALS: Final = (DataError, ValueError, TypeError, OverflowError, struct.error)


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
        return await outlast("clickhouse", lambda: self._fences(tps), (ClickHouseError, OSError))

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
        events = [event for part in rows for event in part.events]
        refused: list[tuple[Any, ...]] = []
        await self._insert(
            USER_BEHAVIORS,
            tuple(EVENT_COLUMNS),
            events,
            event_columns,
            token,
            lambda event, why: refused.append(refused_row(event, why)),
        )
        rejected = [row for part in rows for row in part.rejected] + refused
        await self._insert(REJECTED_BEHAVIORS, REJECTED_COLUMNS, rejected, rejected_columns, token, _drop)
        for part in rows:
            if part.events:
                arrivals = [event.received_at for event in part.events]
                AGES.observe("clickhouse", part.events[0].tenant_id, arrivals, self._clock())

    async def move_fences(self, batches: Sequence[Batch]) -> None:
        """Note that everything up to the end of `batches`, in the order of each partition, is in the tables."""
        ends = {batch.tp: batch.next_offset for batch in batches}
        rows = [(self._consumer, tp.topic, tp.partition, offset) for tp, offset in ends.items()]
        await self._insert(FENCES, FENCE_COLUMNS, rows, rejected_columns, "fence:" + token_of(batches), _drop)

    async def _insert(
        self,
        table: str,
        columns: tuple[str, ...],
        rows: Sequence[T],
        as_columns: Callable[[Sequence[T]], list[list[Any]]],
        token: str,
        park: Callable[[T, str], None],
    ) -> None:
        """Insert `rows`; those refused go to `park`, one by one."""
        if not rows:
            return
        try:
            data = as_columns(rows)
            await outlast("clickhouse", lambda: self._try(table, columns, data, token), (ClickHouseError, OSError))
            ROWS_INSERTED.labels(table).inc(len(rows))
        except RowsRefusedError as error:
            if len(rows) == 1:
                log.error("row_refused", table=table, error=str(error))
                park(rows[0], str(error))
                return
            half = len(rows) // 2
            await self._insert(table, columns, rows[:half], as_columns, token + "<", park)
            await self._insert(table, columns, rows[half:], as_columns, token + ">", park)

    async def _try(self, table: str, columns: tuple[str, ...], data: list[list[Any]], token: str) -> None:
        try:
            await self._client.insert(
                table,
                data,
                column_names=columns,
                column_types=await self._column_types(table, columns),
                column_oriented=True,
                settings={"insert_deduplication_token": token, "max_partitions_per_insert_block": 0},
            )
        except REFUSALS as error:
            raise RowsRefusedError(repr(error)) from error
        except DatabaseError as error:
            if error_code(error) in DATA_CODES:
                raise RowsRefusedError(str(error)) from error
            raise

    async def _column_types(self, table: str, columns: tuple[str, ...]) -> Any:
        """Asked once a table: the DDL says them, and nobody else."""
        if table not in self._types:
            context = await self._client.create_insert_context(table, columns)
            self._types[table] = context.column_types
        return self._types[table]


def token_of(batches: Sequence[Batch]) -> str:
    """Names the Kafka ranges of a group of batches: the same group, the same token."""
    ranges = sorted(f"{b.topic}/{b.partition}/{b.first_offset}-{b.last_offset}" for b in batches)
    return hashlib.sha256("|".join(ranges).encode()).hexdigest()


def error_code(error: DatabaseError) -> int | None:
    """The engine's number, None where the message has none."""
    _, found, rest = str(error).partition("Code: ")
    digits = rest.partition(".")[0].strip() if found else ""
    return int(digits) if digits.isdecimal() else None


def _drop(row: object, why: str) -> None:
    """A dead letter or fence that cannot be stored has nowhere else to go; `row_refused` has said so."""
