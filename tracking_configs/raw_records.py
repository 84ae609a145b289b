"""What the judge is told of a record of a raw topic."""

from collections.abc import Sequence
from typing import Final, Protocol

from schemas.event import Source
from schemas.topics import SOURCE_HEADER
from tracking_configs.assembly import Arrival

DOORS: Final = {source.value.encode(): source.value for source in (Source.HTTP, Source.GRPC)}


class RawRecord(Protocol):
    """`timestamp` is ms UTC."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


def arrival_of(record: RawRecord, tenant: str) -> Arrival:
    """Where and when a raw record came in."""
    source = source_of(record.headers)
    return Arrival(source, record.timestamp, tenant, record.topic, record.partition, record.offset)


def source_of(headers: Sequence[tuple[str, bytes]]) -> str:
    """Only our doors set the source header, and only to their names; the last one counts."""
    source: str = Source.KAFKA
    for name, value in headers:
        if name == SOURCE_HEADER:
            source = DOORS.get(value, Source.KAFKA)
    return source
