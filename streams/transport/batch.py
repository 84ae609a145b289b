"""The micro-batch: what one fetch brought of one partition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from faust.types import TP


class Record(Protocol):
    """A Kafka record as aiokafka gives it; `timestamp` is ms, `value` None for a tombstone."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(slots=True, eq=False, weakref_slot=True)
class Batch:
    """Consecutive records of one partition, at least one, in offset order, as Kafka gave them.

    `epoch` is the generation of the consumer group in which they were fetched. `place` names the seek they
    follow: a batch whose place is no longer its partition's is stale. `processed` is set by whoever made its
    effects durable; an acknowledgement counts only then. `waiting` is set while work on it has not begun and need not.
    """

    tp: TP
    records: Sequence[Record]
    epoch: int
    place: int
    processed: bool = False
    waiting: bool = False

    @property
    def topic(self) -> str:
        return str(self.tp.topic)

    @property
    def partition(self) -> int:
        return int(self.tp.partition)

    @property
    def first_offset(self) -> int:
        return self.records[0].offset

    @property
    def last_offset(self) -> int:
        return self.records[-1].offset

    @property
    def next_offset(self) -> int:
        """What Kafka is told when the batch is done: where to read on."""
        return self.last_offset + 1
