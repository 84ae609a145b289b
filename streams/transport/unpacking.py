"""Records out of aiokafka's fetches, each an object that costs little to make and nothing to collect.

aiokafka's own record is a frozen dataclass of eleven fields, which takes longer to make than its event to decode.
"""

from itertools import islice
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult


class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """A `streams.transport.Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def unpack(fetched: FetchResult, at_most: int) -> list[FetchedRecord]:
    """What `fetched.getall(at_most)` gives, as records of ours. Raises KafkaError for a batch that cannot be read."""
    unpacked = fetched._partition_records
    if unpacked is None or not fetched.check_assignment(fetched._topic_partition):
        return []
    unpacked._consumer_record = _record  # it unpacks lazily, so this is in time
    records = list(islice(unpacked._records_iterator, at_most))
    fetched._update_position()
    if len(records) < at_most:
        fetched._partition_records = None
    return records


def _record(tp: TopicPartition, unpacked: Any) -> FetchedRecord:
    return FetchedRecord(
        tp[0],
        tp[1],
        unpacked.offset,
        unpacked.timestamp,
        unpacked.timestamp_type,
        unpacked.key,
        unpacked.value,
        tuple(unpacked.headers),
    )
