"""Record batches are read as aiokafka reads them, as long as they inflate to no more than is allowed."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.transport import inflating
from streams.transport.inflating import HEADER, BoundedRecords

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LIMIT = 64 * 1024


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "MAX_INFLATED_BYTES", LIMIT)


def batch(codec: str, *values: bytes | None, first_offset: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        2, CODECS[codec], is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1_000_000
    )
    for number, value in enumerate(values):
        builder.append(number, 1000 + number, b"k", value, [("h", b"1")])
    made = builder.build()
    made[:8] = first_offset.to_bytes(8)
    return bytes(made)


def read(records: BoundedRecords) -> list[tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    found = []
    while records.has_next():
        each = records.next_batch()
        assert each.validate_crc()
        assert not each.is_control_batch
        found += [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in each]
    return found


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_within_the_limit_is_read_as_aiokafka_reads_it(codec: str) -> None:
    fetched = batch(codec, b"a", None, b"b" * 10_000) + batch(codec, b"c", first_offset=3)
    assert read(BoundedRecords(fetched)) == read(MemoryRecords(fetched))
    assert [offset for offset, *_ in read(BoundedRecords(fetched))] == [0, 1, 2, 3]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_what_inflates_to_more_is_one_record_at_its_last_offset(codec: str) -> None:
    large = BoundedRecords(batch(codec, b"a", bytes(LIMIT), b"b", first_offset=7))
    ((offset, timestamp, key, value, headers),) = read(large)
    assert (offset, timestamp, key, headers) == (9, 1002, None, [])
    assert value is not None
    assert len(value) == LIMIT


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_what_cannot_be_inflated_is_one_record_too(codec: str) -> None:
    broken = bytearray(batch(codec, b"a", b"b"))
    broken[HEADER.size :] = b"\x00" * (len(broken) - HEADER.size)
    records = BoundedRecords(bytes(broken))
    assert [record.offset for record in records.next_batch()] == [1]


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch() -> None:
    whole, cut = batch("gzip", b"a"), batch("gzip", b"b", first_offset=1)
    for length in (1, HEADER.size - 1, HEADER.size, len(cut) - 1):
        records = BoundedRecords(whole + cut[:length])
        assert [offset for offset, *_ in read(records)] == [0]
        assert records.size_in_bytes() == len(whole) + length


def test_no_more_of_a_fetch_is_inflated_than_is_allowed() -> None:
    half = bytes(LIMIT // 2)
    fetched = b"".join(batch("zstd", half, first_offset=offset) for offset in range(5))
    assert [offset for offset, *_ in read(BoundedRecords(fetched))] == [0, 1]
