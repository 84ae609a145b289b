"""Gathering: batches of many partitions become one insert, while order and acknowledgement stay a partition's.

A group is closed when it holds `rows_per_insert` rows or `bytes_per_insert` bytes, or is `interval_s` old, and fewer
than two groups are at work: while both are, it grows, so that a slow engine gets fewer and larger inserts. Fences move
and batches are acknowledged strictly in the order in which the groups were closed, so a fence never stands behind rows
that are not in. `max_rows` and `max_bytes` bound what is held, to a batch; beyond them the stream waits, its partitions
pause, and Kafka keeps.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from faust.types import EventT, StreamT

from schemas.metrics import BATCH_EVENTS, BATCH_SECONDS
from streams.rows import Rows, rows_of
from streams.transport import Batch
from streams.transport.consumer import Consumer

log = structlog.get_logger()

INSERTS_AT_ONCE = 2
RETRY_PAUSE_S = 1.0


class RowSink(Protocol):
    """Where groups of batches go; each call waits out outages and may be made again."""

    async def insert(self, batches: list[Batch], rows: list[Rows]) -> None: ...

    async def move_fences(self, batches: list[Batch]) -> None: ...


@dataclass(slots=True)
class _Group:
    events: list[EventT] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    size: int = 0
    size_bytes: int = 0
    due: bool = False


class Gatherer:
    """A runner: holds a stream's batches until there are enough of them for one insert."""

    def __init__(
        self,
        name: str,
        sink: RowSink,
        consumer: Consumer,
        stream: StreamT,
        *,
        rows_per_insert: int = 25_000,
        bytes_per_insert: int = 16 * 1024 * 1024,  # an insert is held twice more while it is packed and sent
        max_rows: int = 150_000,
        max_bytes: int = 64 * 1024 * 1024,
        interval_s: float = 1.0,
        rows_of: Callable[[Batch], Rows] = rows_of,
    ) -> None:
        self._name = name
        self._sink = sink
        self._consumer = consumer
        self._stream = stream
        self._rows_per_insert = rows_per_insert
        self._bytes_per_insert = bytes_per_insert
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._interval_s = interval_s
        self._rows_of = rows_of
        self._group = _Group()
        self._held = 0
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def held_rows(self) -> int:
        """Rows of all groups that are gathered or at work."""
        return self._held

    async def submit(self, event: EventT) -> None:
        batch: Batch = event.value
        while self._is_full() and self._consumer.is_current(batch):
            self._room.clear()
            await self._room.wait()
        if not self._consumer.is_current(batch):
            return
        self._take(event, self._rows_of(batch))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._grow_old)
        self._close_if_ready()

    def _is_full(self) -> bool:
        return self._held >= self._max_rows or self._held_bytes >= self._max_bytes

    def _take(self, event: EventT, rows: Rows) -> None:
        self._group.events.append(event)
        self._group.rows.append(rows)
        self._group.size += len(rows)
        self._group.size_bytes += rows.size_bytes
        self._held += len(rows)
        self._held_bytes += rows.size_bytes

    async def drain(self, timeout_s: float) -> None:
        self._close()
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=timeout_s)
            for task in late:
                task.cancel()
            if late:
                log.warning("batch_abandoned", agent=self._name, groups=len(late))
                await asyncio.wait(late)
        self._last = None

    def _grow_old(self) -> None:
        self._group.due = True
        self._close_if_ready()

    def _close_if_ready(self) -> None:
        is_large = self._group.size >= self._rows_per_insert or self._group.size_bytes >= self._bytes_per_insert
        if (self._group.due or is_large or self._is_full()) and len(self._writing) < INSERTS_AT_ONCE:
            self._close()

    def _close(self) -> None:
        """Send off the group as it is; the next batch begins another."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._group.events:
            group, self._group = self._group, _Group()
            self._last = asyncio.create_task(self._write(group, self._last), name=f"{self._name}-insert")
            self._writing.add(self._last)
            self._last.add_done_callback(self._wrote)

    def _wrote(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        self._close_if_ready()

    async def _write(self, group: _Group, before: asyncio.Task[None] | None) -> None:
        started = time.perf_counter()
        try:
            done = await self._try(group, before)
            while not done:
                await asyncio.sleep(RETRY_PAUSE_S)
                done = await self._try(group, before)
            BATCH_SECONDS.labels(self._name).observe(time.perf_counter() - started)
            BATCH_EVENTS.labels(self._name).observe(group.size)
        finally:
            self._held -= group.size
            self._held_bytes -= group.size_bytes
            self._room.set()

    async def _try(self, group: _Group, before: asyncio.Task[None] | None) -> bool:
        """Whether the group is dealt with. Batches whose partition was moved or taken away are left out."""
        ours = [(event, rows) for event, rows in zip(group.events, group.rows, strict=True) if self._is_ours(event)]
        batches = [event.value for event, _ in ours]
        if not batches:
            return True
        try:
            await self._sink.insert(batches, [rows for _, rows in ours])
            if before is not None:
                await asyncio.shield(before)
            await self._sink.move_fences(batches)
        except Exception:  # any: nothing may be lost, so the group comes again, and those behind it wait
            log.exception("group_failed", agent=self._name, rows=group.size)
            return False
        for event, _ in ours:
            event.value.processed = True
            await self._stream.ack(event)
        return True

    def _is_ours(self, event: EventT) -> bool:
        return self._consumer.is_ours(event.value)
