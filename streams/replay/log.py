"""A tenant's raw topic, read from a moment up to given offsets, without a consumer group."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
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
TURN_RECORDS: Final = 2_000  # of a partition: while Redis takes those of one, another's are judged
POLL_MS: Final = 200
FETCH_WAIT_MS: Final = 10  # a request at a partition's end keeps those of the others waiting for as long


class RawLog:
    """Partitions are named by their number. Every method raises KafkaError where Kafka is away.

    What was fetched beyond the offsets that were asked for is kept for the next time.
    """

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, partitions: Iterable[int]) -> None:
        self.topic = topic
        self._consumer = consumer
        self._places = {number: TopicPartition(topic, number) for number in sorted(partitions)}
        self._next: dict[int, int] = {}  # partition -> offset that is read next
        self._ahead: dict[int, list[Record]] = {}  # partition -> what was fetched and not read
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
        self._next[partition], self._ahead[partition] = offset, []

    async def read(self, upto: Mapping[int, int]) -> AsyncIterator[dict[int, list[Record]]]:
        """From where each partition of `upto` stands up to its offset there, which is a record's; others rest.

        Raises RecordsGone.
        """
        self._consumer.pause(*self._places.values())
        left = self._unread(upto)
        self._consumer.resume(*(self._places[number] for number in left))
        while left:
            await self._fetch(left)
            batches = {number: records for number, last in left.items() if (records := self._take(number, last))}
            unread = self._unread(left)
            self._consumer.pause(*(self._places[number] for number in left.keys() - unread.keys()))
            left = unread
            if batches:
                yield batches

    def _unread(self, upto: Mapping[int, int]) -> dict[int, int]:
        return {number: last for number, last in upto.items() if self._next[number] <= last}

    def _take(self, number: int, last: int) -> list[Record]:
        """What was fetched up to that offset, some at a time: so partitions take turns."""
        ahead = self._ahead[number]
        count = min(bisect_right(ahead, last, key=_offset), TURN_RECORDS)
        taken, self._ahead[number] = ahead[:count], ahead[count:]
        if taken:
            self._next[number] = taken[-1].offset + 1
        return taken

    async def _fetch(self, numbers: Collection[int]) -> None:
        """Of those of the partitions of which nothing is left; waits only where that is all of them."""
        lacking = [self._places[number] for number in numbers if not self._ahead[number]]
        if not lacking:
            return
        wait_ms = POLL_MS if len(lacking) == len(numbers) else 0
        try:
            fetched = await self._consumer.getmany(*lacking, timeout_ms=wait_ms, max_records=FETCH_RECORDS)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise RecordsGone(self.topic) from error
        for tp, records in fetched.items():
            self._ahead[tp.partition] = records


def _offset(record: Record) -> int:
    return record.offset


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
        fetch_max_wait_ms=FETCH_WAIT_MS,
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
