"""A tenant's raw topic, read from a moment up to given offsets, without a consumer group."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.replay.errors import NoSuchTopic, RecordsGone
from streams.transport import Record

FETCH_BYTES: Final = 4 * 1024 * 1024  # of a partition; what is prefetched is bounded by it
FETCH_RECORDS: Final = 20_000
POLL_MS: Final = 200


class RawLog:
    """Partitions are named by their number. Every method raises KafkaError where Kafka is away."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, partitions: Iterable[int]) -> None:
        self.topic = topic
        self._consumer = consumer
        self._places = {number: TopicPartition(topic, number) for number in sorted(partitions)}
        consumer.assign(list(self._places.values()))

    async def begins(self) -> dict[int, int]:
        """The offsets of the first records that Kafka still has."""
        found = await self._consumer.beginning_offsets(list(self._places.values()))
        return {tp.partition: offset for tp, offset in found.items()}

    async def starts(self, since_ms: int | None) -> dict[int, int]:
        """Where the records begin that arrived at `since_ms` or later, None for all; the end where there are none."""
        places = list(self._places.values())
        if since_ms is None:
            return await self.begins()
        ends = await self._consumer.end_offsets(places)
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, since_ms))
        return {tp.partition: ends[tp] if found[tp] is None else found[tp].offset for tp in places}

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(self._places[partition], offset)

    async def read(self, upto: Mapping[int, int]) -> AsyncIterator[dict[int, list[Record]]]:
        """From where each partition of `upto` stands up to its offset there, which is a record's; others rest.

        Raises RecordsGone.
        """
        left = {self._places[number]: offset for number, offset in upto.items()}
        self._consumer.pause(*self._places.values())
        left = {tp: last for tp, last in left.items() if await self._consumer.position(tp) <= last}
        self._consumer.resume(*left)
        while left:
            try:
                fetched = await self._consumer.getmany(*left, timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                raise RecordsGone(self.topic) from error
            batches: dict[int, list[Record]] = {}
            for tp, records in fetched.items():
                batches[tp.partition] = [record for record in records if record.offset <= left[tp]]
                if records[-1].offset >= left[tp]:
                    self._consumer.pause(tp)
                    self._consumer.seek(tp, left.pop(tp) + 1)
            if batches:
                yield batches


@asynccontextmanager
async def open_log(kafka: KafkaDsn, tenant: str) -> AsyncIterator[RawLog]:
    """Raises NoSuchTopic."""
    topic = raw_topic(tenant)
    partitions = await _partitions_of(kafka, topic)
    if not partitions:
        raise NoSuchTopic(tenant, topic)
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES,
        **kafka.client_options(),
    )
    await consumer.start()
    try:
        yield RawLog(consumer, topic, partitions)
    finally:
        await consumer.stop()


async def _partitions_of(kafka: KafkaDsn, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        described = await admin.describe_topics()  # all of them: asking for one by its name would make it
    finally:
        await admin.close()
    return [partition["partition"] for each in described if each["topic"] == topic for partition in each["partitions"]]
