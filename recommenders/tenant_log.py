"""A tenant's validated events read a second time, beside the worker's own reading, to make its state anew."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from recommenders.tail import POLL_MS, Offsets
from schemas.kafka import KafkaDsn

CHUNK: Final = 200  # records at one go, a few ms, between which the lists of others are written
SILENCE_S: Final = 30.0
CLOSING_S: Final = 5.0

Take = Callable[[TopicPartition, list[ConsumerRecord]], None]


class TenantLog:
    """Reads the partitions from their beginning. `positions`: the next offset to read, a partition."""

    def __init__(self, consumer: Any, partitions: Iterable[TopicPartition]) -> None:
        self._consumer = consumer
        self.positions: Offsets = dict.fromkeys(partitions, 0)

    async def read_to(self, ends: Callable[[], Offsets], take: Take) -> None:
        """Read on until, a partition, `ends` is reached, and not beyond. Raises KafkaTimeoutError after a silence."""
        heard_at = monotonic()
        while behind := self._behind(ends()):
            batches = await self._consumer.getmany(*behind, timeout_ms=POLL_MS, max_records=CHUNK)
            for tp in behind:
                await self._advance(tp, batches.get(tp, []), ends().get(tp, 0), take)
            if batches:
                heard_at = monotonic()
            elif monotonic() - heard_at > SILENCE_S:
                raise KafkaTimeoutError(f"nothing more of {behind}")
            await asyncio.sleep(0)

    def _behind(self, ends: Offsets) -> list[TopicPartition]:
        return [tp for tp, position in self.positions.items() if position < ends.get(tp, 0)]

    async def _advance(self, tp: TopicPartition, records: list[ConsumerRecord], end: int, take: Take) -> None:
        wanted = [record for record in records if record.offset < end]
        if wanted:
            take(tp, wanted)
        position = await self._consumer.position(tp)  # where retention has removed records, only the consumer knows
        if position > end:
            self._consumer.seek(tp, end)
        self.positions[tp] = min(position, end)


@asynccontextmanager
async def open_tenant_log(kafka: KafkaDsn, partitions: Iterable[TopicPartition]) -> AsyncIterator[TenantLog]:
    """A consumer of its own, in no group. Raises KafkaError."""
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=POLL_MS,
        **kafka.client_options(),
    )
    log = TenantLog(consumer, partitions)
    try:
        await consumer.start()
        consumer.assign(list(log.positions))
        for tp in log.positions:
            consumer.seek(tp, 0)  # where retention has removed it, it is read as the first there is
        yield log
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=CLOSING_S)
