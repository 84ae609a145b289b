"""Which batches of each partition are in flight, so that only the finished prefix is committed."""

from collections import deque

from faust.types import TP

from streams.transport.batch import Batch


class Ledger:
    """An ordered list of batches per partition. Not thread-safe: it belongs to the app's event loop."""

    def __init__(self) -> None:
        self._in_flight: dict[TP, deque[Batch]] = {}
        self._finished: set[Batch] = set()
        self._committable: dict[TP, int] = {}

    def add(self, batch: Batch) -> None:
        """Note a batch as it is handed out; batches of one partition come in offset order."""
        self._in_flight.setdefault(batch.tp, deque()).append(batch)

    def finish(self, batch: Batch) -> bool:
        """Whether the batch was in flight; one that was forgotten meanwhile moves nothing."""
        in_flight = self._in_flight.get(batch.tp)
        if in_flight is None or batch not in in_flight:
            return False
        self._finished.add(batch)
        while in_flight and in_flight[0] in self._finished:
            done = in_flight.popleft()
            self._finished.discard(done)
            self._committable[done.tp] = done.next_offset
        return True

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

    def forget(self, tp: TP) -> None:
        """Drop everything about a partition that was taken away or moved to another offset."""
        for batch in self._in_flight.pop(tp, ()):
            self._finished.discard(batch)
        self._committable.pop(tp, None)
