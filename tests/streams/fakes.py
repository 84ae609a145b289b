"""Doubles for what the stream's parts stand on: Kafka records, the consumer, the stream, the judge."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from schemas.erased import ErasedUsers
from schemas.event import Event
from schemas.verdict import Code, Issue, Rejected
from streams.transport import Batch, Record
from tests.factories import NOON, make_event
from tracking_configs.judge import Arrival
from tracking_configs.raw_records import arrival_of


@dataclass(frozen=True)
class FakeRecord:
    offset: int
    value: bytes | None = b"{}"
    topic: str = "user-behaviors-acme"
    partition: int = 0
    key: bytes | None = b"u1"
    timestamp: int = NOON
    timestamp_type: int = 1
    headers: tuple[tuple[str, bytes], ...] = ()


def make_batch(offsets: Iterable[int], *, topic: str = "user-behaviors-acme", partition: int = 0) -> Batch:
    records = [FakeRecord(offset, topic=topic, partition=partition) for offset in offsets]
    return Batch(TP(topic, partition), records, epoch=1, place=1)


def batch_of(*records: FakeRecord) -> Batch:
    return Batch(TP(records[0].topic, records[0].partition), records, epoch=1, place=1)


class FakeJudge:
    """Rejects empty values and `bad`, accepts the rest as an event of the record's offset."""

    erased = ErasedUsers()

    def judge_all(self, records: Iterable[Record], tenant: str) -> list[Event | Rejected]:
        return [self.judge(record.value, arrival_of(record, tenant)) for record in records]

    def judge(self, value: bytes | None, arrival: Arrival) -> Event | Rejected:
        if not value:
            return Rejected((Issue("", Code.EMPTY, "the value is empty"),))
        if value == b"bad":
            return Rejected((Issue("user_id", Code.MISSING, "is required"),))
        position = 2**70 if value == b"huge" else None
        return make_event(
            event_id=f"e{arrival.partition}-{arrival.offset}",
            tenant_id=arrival.tenant,
            user_id=value.decode(),
            source=arrival.source,
            position=position,
            received_at=arrival.received_at,
            partition=arrival.partition,
            offset=arrival.offset,
        )


@dataclass
class FakeConsumer:
    """Says that everything is current, and notes what it is told."""

    current: bool = True
    full: list[TP] = field(default_factory=list)
    dropped: list[TP] = field(default_factory=list)
    aside: list[TP] = field(default_factory=list)
    sought: list[tuple[TP, int]] = field(default_factory=list)

    def is_current(self, batch: Batch) -> bool:
        return self.current

    def is_ours(self, batch: Batch) -> bool:
        return self.current

    def set_aside(self, batch: Batch) -> None:
        self.aside.append(batch.tp)

    def on_buffer_full(self, tp: TP) -> None:
        self.full.append(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        self.dropped.append(tp)

    async def seek(self, tp: TP, offset: int) -> None:
        self.sought.append((tp, offset))


@dataclass
class FakeStream:
    """Collects the batches that were acknowledged, in order."""

    acked: list[Batch] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def ack(self, event: Any) -> None:
        self.acked.append(event.value)
        self.changed.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.acked) < count:
                self.changed.clear()
                await self.changed.wait()


def event_of(batch: Batch) -> Any:
    """A Faust event whose value is the batch."""
    return SimpleNamespace(value=batch)
