"""Session summaries from a partition's outbox in Redis to the same partition of `session-summaries-{tenant}`.

Promise: what `ship` was given is in the topic when it returns, in order, on all in-sync replicas. Each record carries
its place in the outbox, which only rises, so the last record of a partition says what is there already: asked on
taking over a partition and after every failure, it keeps a summary from being written again whose trimming a crash
prevented. Only one worker at a time ships a partition; should one that was frozen go on while the next owner is at
work already, its records repeat sequences, and a reader who drops what is not above the last one sees each once.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from schemas.metrics import SUMMARIES_SHIPPED
from schemas.topics import raw_topic, summaries_topic
from streams.config import StreamConfig
from streams.features.closing import Summary, sequence_key
from streams.publisher import Outgoing, Publisher
from streams.summaries import SEQUENCE_HEADER, summary_record
from streams.topic_maker import TopicMaker

log = structlog.get_logger()

READING_S: Final = 10.0
FIRST: Final = "0-0"  # before every place in an outbox


class SummaryShipper:
    """One for all partitions of a worker. Close with `stop`."""

    def __init__(self, config: StreamConfig) -> None:
        self._kafka = config.kafka
        self._publisher = Publisher(config.kafka)
        self._topics = TopicMaker(
            config.kafka, replication_factor=config.replication_factor, retention_ms=config.retention_ms
        )
        self._reader: AIOKafkaConsumer | None = None
        self._reading = asyncio.Lock()

    async def stop(self) -> None:
        await self._publisher.stop()
        await self._close_reader()

    async def ship(self, tenant: str, partition: int, outbox: Sequence[Summary], shipped: str | None) -> str:
        """The sequence up to which all is shipped; what is not above `shipped`, None: not known, is there already.

        Raises KafkaError and OSError; call again then without a `shipped`.
        """
        topic = summaries_topic(tenant)
        try:
            await self._topics.ensure((topic,), like=raw_topic(tenant), partition=partition)
            last = await self._last_sequence(topic, partition) if shipped is None else shipped
            new = [each for each in outbox if sequence_key(each.sequence) > sequence_key(last)]
            records = list(_records(tenant, new))
            await self._publisher.publish(topic, partition, records)
        except KafkaError:
            self._topics.forget(topic)
            raise
        SUMMARIES_SHIPPED.labels(tenant).inc(len(records))
        return max((last, *(each.sequence for each in outbox)), key=sequence_key)

    async def _last_sequence(self, topic: str, partition: int) -> str:
        tp = TopicPartition(topic, partition)
        async with self._reading:
            try:
                reader = await self._open_reader()
                record = await _last_record(reader, tp)
            except (KafkaError, OSError):
                await self._close_reader()
                raise
        return _sequence_of(record) if record is not None else FIRST

    async def _open_reader(self) -> AIOKafkaConsumer:
        if self._reader is None:
            self._reader = AIOKafkaConsumer(**self._kafka.client_options(), enable_auto_commit=False)
            await self._reader.start()
        return self._reader

    async def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(KafkaError, OSError):
                await reader.stop()


async def _last_record(reader: AIOKafkaConsumer, tp: TopicPartition) -> ConsumerRecord | None:
    """None where the partition is empty. Raises KafkaTimeoutError."""
    reader.assign([tp])
    first = (await reader.beginning_offsets([tp]))[tp]
    end = (await reader.end_offsets([tp]))[tp]
    if first >= end:
        return None
    reader.seek(tp, end - 1)
    until = time.monotonic() + READING_S
    while time.monotonic() < until:
        records = (await reader.getmany(tp, timeout_ms=500)).get(tp)
        if records:
            return records[-1]
    raise KafkaTimeoutError(f"the last record of {tp.topic}/{tp.partition} cannot be read")


def _sequence_of(record: ConsumerRecord) -> str:
    """A record of somebody else's has none, and says nothing."""
    for name, value in record.headers:
        if name == SEQUENCE_HEADER:
            return str(value.decode())
    return FIRST


def _records(tenant: str, summaries: Sequence[Summary]) -> list[Outgoing]:
    records: list[Outgoing] = []
    for summary in summaries:
        try:
            records.append(summary_record(tenant, summary))
        except ValueError as error:  # somebody wrote into the outbox; it must not hold up what is behind it
            log.error("summary_unreadable", tenant=tenant, sequence=summary.sequence, error=str(error))
    return records
