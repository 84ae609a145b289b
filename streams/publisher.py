"""Writes records to a given partition, in order, durably.

Promise: when `publish` returns, all in-sync replicas have the records, in the order given. The producer is
idempotent and waits for a broker that is away, so what it retries by itself is written once. When it gives up,
`publish` raises and the next call has a new producer; the caller sends the same records again, so a reader may see
the beginning twice, but first occurrences stay in order.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.kafka import KafkaDsn
from streams.outages import outlast

CLOSING_S = 1.0
MAX_BATCH_BYTES = 512 * 1024


class Outgoing(NamedTuple):
    """A record to write. Key and value are not both None."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Publisher:
    """One idempotent producer, replaced when it gives up. Open with `start`, close with `stop`."""

    def __init__(self, kafka: KafkaDsn) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Waits until a broker answers."""
        await outlast("kafka", self._current, (KafkaError, OSError))

    async def stop(self) -> None:
        """Flush and close; with Kafka away, within a second, and what was not acknowledged is published again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), CLOSING_S)
        for task in tuple(self._closing):
            task.cancel()

    async def publish(self, topic: str, partition: int, records: Iterable[Outgoing]) -> None:
        """Return when all of `records` are written. Raises KafkaError; the same call may be made again."""
        outgoing = list(records)
        if not outgoing:
            return
        producer = await self._current()
        try:
            await _check_partition(producer, topic, partition)
            sent = [
                await producer.send_batch(batch, topic, partition=partition) for batch in _batches(producer, outgoing)
            ]
            await asyncio.gather(*sent)
        except KafkaError as error:
            if not isinstance(error, UnknownTopicOrPartitionError):
                await self._give_up(producer)
            raise

    async def _current(self) -> AIOKafkaProducer:
        async with self._replacing:
            if self._producer is None:
                self._producer = await _open(self._kafka)
            return self._producer

    async def _give_up(self, producer: AIOKafkaProducer) -> None:
        """A batch that failed leaves a gap in the producer's sequence numbers: it can go on nowhere."""
        async with self._replacing:
            current = self._producer
            if current is not None and current is producer:
                self._producer = None
                task = asyncio.create_task(current.stop())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)


async def _open(kafka: KafkaDsn) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        **kafka.client_options(),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=2 * MAX_BATCH_BYTES,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


async def _check_partition(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    """Know a topic that has just been made or has grown."""
    if partition not in await producer.partitions_for(topic):
        await producer.client.force_metadata_update()
        if partition not in await producer.partitions_for(topic):
            raise UnknownTopicOrPartitionError(f"{topic} has no partition {partition}")


def _batches(producer: AIOKafkaProducer, records: list[Outgoing]) -> Iterable[object]:
    """The records in as few builders as their sizes allow, closed: nothing may slip in between."""
    builder = producer.create_batch()
    for record in records:
        if _append(builder, record) is None:
            yield builder
            builder = producer.create_batch()
            _append(builder, record)
    builder.close()
    yield builder


def _append(builder: BatchBuilder, record: Outgoing) -> object:
    """None where the builder is full."""
    return builder.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
