"""What a record batch may inflate to, and how much of a partition is held at a time.

A broker bounds what is sent, not what that inflates to: a mebibyte of zstd may be 32 GiB. aiokafka inflates a batch
whole. Here one that would be more than `MAX_INFLATED_BYTES`, or cannot be inflated, becomes a single record, at the
batch's last offset, without a key, whose value is how its inflated bytes begin. It is larger than any event may be, so
it is refused like one; what follows it is read. What is left of a fetch of which that much has been inflated is
dropped, and fetched again.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import cramjam
import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch

log = structlog.get_logger()

MAX_INFLATED_BYTES: Final = 32 * 1024 * 1024
SHOWN_BYTES: Final = 1024 * 1024  # of what was not inflated
FIRST_ROOM: Final = 8  # times what a batch was; JSON of one kind is packed to a fifth
MORE_ROOM: Final = 8
PLAIN_FORMAT: Final = 2  # of record batches; Kafka 4 writes no other
LENGTH: Final = struct.Struct(">8xi")
HEADER: Final = struct.Struct(">qiibIhiqqqhii")
MAGIC_AT, ATTRIBUTES_AT, CODEC_MASK = 16, 21, 0x07

# Snappy, codec 2, cannot inflate to more than 22 times what it was; aiokafka reads it as ever.
INFLATE: Final[dict[int, Callable[[Any, Any], int]]] = {
    1: cramjam.gzip.decompress_into,
    3: cramjam.lz4.decompress_into,
    4: cramjam.zstd.decompress_into,
}


class _NotInflatedError(Exception):
    """Why, and how the inflated bytes begin."""

    def __init__(self, why: Exception, beginning: bytes) -> None:
        super().__init__(str(why))
        self.beginning = beginning


class _Shown(NamedTuple):
    """The record in place of a batch that is not inflated."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: bytes
    key: None = None
    checksum: None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class BoundedBatch:
    """A compressed record batch, inflated when its records are asked for. `inflated` is then told its size."""

    def __init__(self, raw: bytes, inflated: Callable[[int], None]) -> None:
        self._raw = raw
        self._inflated = inflated
        self._batch = DefaultRecordBatch(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            plain, size = self._inflate()
        except _NotInflatedError as error:
            log.warning("batch_not_inflated", offset=self._batch.base_offset, size=len(self._raw), error=str(error))
            self._inflated(MAX_INFLATED_BYTES)
            yield self._shown(error.beginning)
            return
        self._inflated(size)
        plain[: HEADER.size] = self._raw[: HEADER.size]
        plain[ATTRIBUTES_AT + 1] &= ~CODEC_MASK
        yield from DefaultRecordBatch(memoryview(plain)[: HEADER.size + size])

    def _inflate(self) -> tuple[bytearray, int]:
        """The records behind room for a header, and their size. What has no room is tried again with more.

        To begin with the most would cost 13 ms a batch, since a bytearray is filled with zeros.
        """
        packed = memoryview(self._raw)[HEADER.size :]
        room = min(MAX_INFLATED_BYTES, FIRST_ROOM * len(self._raw))
        while True:
            plain = bytearray(HEADER.size + room)
            try:
                return plain, INFLATE[self._batch.compression_type](packed, memoryview(plain)[HEADER.size :])
            except cramjam.DecompressionError as error:  # the same, whether there is no room or it is malformed
                if room == MAX_INFLATED_BYTES:
                    raise _NotInflatedError(error, bytes(plain[HEADER.size :][:SHOWN_BYTES])) from error
            room = min(MAX_INFLATED_BYTES, MORE_ROOM * room)

    def _shown(self, value: bytes) -> _Shown:
        batch = self._batch
        return _Shown(batch.next_offset - 1, batch.max_timestamp, batch.timestamp_type, value)


class BoundedRecords:
    """What was fetched of a partition, as aiokafka's `MemoryRecords` gives it, with bounded batches."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._at = 0
        self._inflated = 0

    def size_in_bytes(self) -> int:
        return len(self._fetched)

    def has_next(self) -> bool:
        """Whether a whole batch is left, which the broker may have cut off, and may be held besides those before it."""
        return self._inflated < MAX_INFLATED_BYTES and self._end() <= len(self._fetched)

    def next_batch(self) -> Any:
        raw = self._fetched[self._at : self._end()]
        self._at += len(raw)
        if raw[MAGIC_AT] == PLAIN_FORMAT and raw[ATTRIBUTES_AT + 1] & CODEC_MASK in INFLATE:
            return BoundedBatch(raw, self._count)
        return AIOKAFKAS_RECORDS(raw).next_batch()

    def _count(self, inflated: int) -> None:
        self._inflated += inflated

    def _end(self) -> int:
        if len(self._fetched) - self._at < HEADER.size:
            return len(self._fetched) + 1
        (length,) = LENGTH.unpack_from(self._fetched, self._at)
        return self._at + LENGTH.size + int(length)


AIOKAFKAS_RECORDS: Final = fetcher.MemoryRecords


def bound_inflating() -> None:
    """From now on, for every aiokafka consumer of this process: aiokafka lets nobody choose how it reads."""
    fetcher.MemoryRecords = BoundedRecords
