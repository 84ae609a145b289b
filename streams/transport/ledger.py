"""Which batches of each partition are in flight, so that only the finished prefix is committed."""

from collections import Counter, deque
from collections.abc import Callable, Iterator

from faust.types import TP

from streams.transport.batch import Batch


class Ledger:
    """An ordered list of batches per partition. It belongs to the app's event loop.

    `at_work`: how many records of each tenant are handed out and unfinished, without those of partitions that are set
    aside; other threads may read it.
    """

    def __init__(self, tenant_of: Callable[[str], str]) -> None:
        self._tenant_of = tenant_of
        self._in_flight: dict[TP, deque[Batch]] = {}
        self._finished: set[Batch] = set()
        self._committable: dict[TP, int] = {}
        self._next_offsets: dict[TP, int] = {}
        self._aside: set[TP] = set()
        self.at_work: Counter[str] = Counter()

    def add(self, batch: Batch) -> None:
        """Note a batch as it is handed out; batches of one partition come in offset order."""
        self._in_flight.setdefault(batch.tp, deque()).append(batch)
        self._next_offsets[batch.tp] = batch.next_offset
        if batch.tp not in self._aside:
            self._count(batch, len(batch.records))

    def finish(self, batch: Batch) -> bool:
        """Whether the batch was in flight; one that was forgotten meanwhile moves nothing."""
        in_flight = self._in_flight.get(batch.tp)
        if in_flight is None or batch not in in_flight or batch in self._finished:
            return False
        self._take_up(batch.tp)
        self._finished.add(batch)
        self._count(batch, -len(batch.records))
        while in_flight and in_flight[0] in self._finished:
            done = in_flight.popleft()
            self._finished.discard(done)
            self._committable[done.tp] = done.next_offset
        return True

    def set_aside(self, tp: TP) -> None:
        """Until one of its batches is finished, what a partition has in flight is stuck, not work at hand: its tenant's
        other partitions go on."""
        if tp not in self._aside:
            for batch in self._unfinished(tp):
                self._count(batch, -len(batch.records))
            self._aside.add(tp)

    def committable(self) -> dict[TP, int]:
        """The next offset of every partition whose finished prefix has grown since it was last committed."""
        return dict(self._committable)

    def committed(self, offsets: dict[TP, int]) -> None:
        """Note what Kafka has taken; what was finished meanwhile stays committable."""
        for tp, offset in offsets.items():
            if self._committable.get(tp) == offset:
                del self._committable[tp]

    def in_flight(self, tp: TP) -> int:
        return len(self._in_flight.get(tp, ()))

    def oldest(self) -> dict[TP, Batch]:
        """The first unfinished batch of every partition that has one."""
        return {tp: next(self._unfinished(tp)) for tp, in_flight in self._in_flight.items() if in_flight}

    def finished_to(self, tp: TP) -> int | None:
        """Where to read on when all that was handed out is finished; None: it is not, or nothing was."""
        return None if self._in_flight.get(tp) else self._next_offsets.get(tp)

    def forget(self, tp: TP) -> None:
        """Drop everything about a partition that was taken away or moved to another offset."""
        self._take_up(tp)
        for batch in self._unfinished(tp):
            self._count(batch, -len(batch.records))
        self._finished.difference_update(self._in_flight.pop(tp, ()))
        self._committable.pop(tp, None)
        self._next_offsets.pop(tp, None)

    def _unfinished(self, tp: TP) -> Iterator[Batch]:
        return (batch for batch in self._in_flight.get(tp, ()) if batch not in self._finished)

    def _take_up(self, tp: TP) -> None:
        if tp in self._aside:
            self._aside.discard(tp)
            for batch in self._unfinished(tp):
                self._count(batch, len(batch.records))

    def _count(self, batch: Batch, records: int) -> None:
        tenant = self._tenant_of(batch.topic)
        self.at_work[tenant] += records
        if not self.at_work[tenant]:
            del self.at_work[tenant]
