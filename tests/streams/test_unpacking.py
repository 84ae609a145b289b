"""Records out of fetches: the same as aiokafka gives, however they are cut."""

from unittest.mock import Mock

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.transport.unpacking import unpack

TP = TopicPartition("user-behaviors-t1", 3)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2)
RECORDS = st.tuples(st.none() | st.binary(max_size=5), st.none() | st.binary(max_size=20), HEADERS)


def fetched(records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]) -> FetchResult:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1_000 + offset, key, value, headers)
    assignment = Mock(active=True)
    state = assignment.state_value.return_value
    state.configure_mock(paused=False, has_valid_position=True, position=0)
    state.consumed_to.side_effect = lambda offset: state.configure_mock(position=offset)
    found = PartitionRecords(TP, MemoryRecords(bytes(builder.build())), [], 0, None, None, True, 0)
    return FetchResult(TP, partition_records=found, assignment=assignment, backoff=0)


@settings(max_examples=50)
@given(st.lists(RECORDS, min_size=1, max_size=10), st.integers(1, 12))
def test_gives_what_aiokafka_gives_however_it_is_cut(records: list, at_most: int) -> None:  # type: ignore[type-arg]
    whole = fetched(records).getall()
    cut = fetched(records)
    parts = []
    while cut.has_more():
        parts.append(unpack(cut, at_most))
    assert all(len(part) <= at_most for part in parts)
    names = ("topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "headers")
    ours = [tuple(getattr(record, name) for name in names) for part in parts for record in part]
    assert ours == [tuple(getattr(record, name) for name in names) for record in whole]
