"""The newest records of a topic: a look that joins no group, commits nothing and makes no topic."""

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.kafka import KafkaDsn

MAX_TAIL_BYTES: Final = 64 * 1024 * 1024
FETCH_WAIT_MS: Final = 100  # how long a broker that has nothing more waits before it says so
POLL_MS: Final = 300
STOP_TIMEOUT_S: Final = 1.0


class TailRecord(NamedTuple):
    """One record as it stands in its partition. `timestamp` in ms, the producer's or the broker's as the topic says."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


async def last_records(
    kafka: KafkaDsn,
    topic: str,
    n: int,
    *,
    since_ms: int | None = None,
    timeout_s: float = 5.0,
    max_bytes: int = MAX_TAIL_BYTES,
) -> list[TailRecord]:
    """The newest `n` records of all the topic's partitions that are not older than `since_ms`, newest last.

    Looked for among the last `n` offsets of each partition, as these ended when the call began. No more than
    `max_bytes` of keys and values are held: where they do not fit, there are fewer records, the newest. A topic that
    does not exist has none. Raises KafkaError, OSError or TimeoutError where Kafka does not answer, or has not sent
    all of it after `timeout_s` seconds.
    """
    reading = asyncio.create_task(_read_tail(kafka, topic, n, since_ms, timeout_s, max_bytes))
    try:
        # aiokafka may pass on the cancellation of its own tasks: here that is no answer either.
        await asyncio.wait({reading}, timeout=timeout_s)
        if reading.done() and not reading.cancelled():
            return reading.result()
        raise TimeoutError(f"Kafka did not send the end of {topic} within {timeout_s:g} s")
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading}, timeout=STOP_TIMEOUT_S)


async def _read_tail(
    kafka: KafkaDsn, topic: str, n: int, since_ms: int | None, timeout_s: float, max_bytes: int
) -> list[TailRecord]:
    options = {**kafka.client_options(), "request_timeout_ms": int(timeout_s * 1000)}
    newest = _Newest(n, max_bytes, since_ms)
    if places := await _partitions_of(options, topic):
        async with _consumer(options) as consumer:
            spans = await _spans(consumer, places, n, since_ms)
            consumer.assign(list(spans))
            for place, (start, _) in spans.items():
                consumer.seek(place, start)
            await _read(consumer, {place: end for place, (_, end) in spans.items()}, newest)
    return newest.records()


async def _partitions_of(options: Mapping[str, Any], topic: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        described = await admin.describe_topics()  # all of them: asking for one by its name would make it
    finally:
        await admin.close()
    return [
        TopicPartition(topic, partition["partition"])
        for each in described
        if each["topic"] == topic
        for partition in each["partitions"]
    ]


@asynccontextmanager
async def _consumer(options: Mapping[str, Any]) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        **options,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # where retention deletes what was just about to be read
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        # Where its broker is gone, stopping raises the cancellation of the consumer's own fetches.
        stopping = asyncio.create_task(consumer.stop())
        with contextlib.suppress(asyncio.CancelledError):
            await stopping


async def _spans(
    consumer: Any, places: list[TopicPartition], n: int, since_ms: int | None
) -> dict[TopicPartition, tuple[int, int]]:
    """From which offset to which, the latter excluded, each partition is to be read; none where that is nothing."""
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    starts = {place: max(begins[place], ends[place] - n) for place in places}
    if since_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(places, max(since_ms, 0)))
        starts = {
            place: max(start, found[place].offset if found[place] else ends[place]) for place, start in starts.items()
        }
    return {place: (start, ends[place]) for place, start in starts.items() if start < ends[place]}


async def _read(consumer: Any, ends: Mapping[TopicPartition, int], newest: "_Newest") -> None:
    """Takes every record below the ends.

    A partition is done when the position has passed its end, be it over a gap or a transaction's marker; and when
    the broker has answered that there is nothing where records are still missing, which then will not come.
    """
    left = set(ends)
    while left:
        before = {place: (await consumer.position(place), consumer.last_poll_timestamp(place)) for place in left}
        batches = await consumer.getmany(*left, timeout_ms=POLL_MS)
        for place, batch in batches.items():
            for record in batch:
                if record.offset < ends[place]:
                    newest.take(TailRecord(place.partition, record.offset, record.timestamp, record.key, record.value))
        for place, (position, answered_at) in before.items():
            now = await consumer.position(place)
            nothing_there = not batches and now == position and consumer.last_poll_timestamp(place) != answered_at
            if now >= ends[place] or nothing_there:
                consumer.pause(place)
                left.discard(place)


class _Newest:
    """The newest of the records that were taken: at most `n`, with at most `max_bytes` of keys and values."""

    def __init__(self, n: int, max_bytes: int, since_ms: int | None) -> None:
        self._n = n
        self._max_bytes = max_bytes
        self._bytes = 0
        self._heap: list[tuple[tuple[int, int, int], TailRecord]] = []
        # All that is older was given up, so that what is kept has no hole.
        self._oldest = (-1 if since_ms is None else since_ms, -1, -1)

    def take(self, record: TailRecord) -> None:
        age = (record.timestamp, record.partition, record.offset)
        if age < self._oldest:
            return
        heapq.heappush(self._heap, (age, record))
        self._bytes += _size(record)
        while len(self._heap) > self._n or self._bytes > self._max_bytes:
            self._oldest, given_up = heapq.heappop(self._heap)
            self._bytes -= _size(given_up)

    def records(self) -> list[TailRecord]:
        return [record for _, record in sorted(self._heap)]


def _size(record: TailRecord) -> int:
    return len(record.key or b"") + len(record.value or b"")
