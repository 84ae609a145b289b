"""Which partitions have sessions to close, as far as their owner knows."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from faust.types import TP


@dataclass(slots=True)
class Watched:
    """A partition of ours.

    `due`: there is something to close or to ship. `next_at`: when the next session can be closed, ms, as the last look
    found it; `looked` since the last events. `shipped`: the last sequence known to be in Kafka.
    """

    epoch: int
    applied_at: float
    due: bool = True
    looked: bool = False
    next_at: int | None = None
    shipped: str | None = None

    def is_passed(self, mark: int) -> bool:
        """Whether a watermark there might close something."""
        return not self.looked or (self.next_at is not None and self.next_at < mark)


class SessionWatch:
    """Told by the features' step what happens; asked by the sweep what there is to do."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.partitions: dict[TP, Watched] = {}

    def begin(self, tp: TP, epoch: int) -> None:
        """A partition was assigned: its outbox may hold what an earlier owner left."""
        self.partitions[tp] = Watched(epoch, self._monotonic())

    def applied(self, tp: TP, *, to_close: bool) -> None:
        """A batch of it is in Redis."""
        watched = self.partitions[tp]
        watched.applied_at, watched.looked = self._monotonic(), False
        watched.due = watched.due or to_close

    def due(self, tps: Collection[TP]) -> list[TP]:
        return [tp for tp in tps if (watched := self.partitions.get(tp)) is not None and watched.due]

    def quiet(self, tps: Collection[TP], mark: int, quiet_s: float) -> list[TP]:
        """Those without events for so long, of which a watermark at `mark`, ms, might close something."""
        before = self._monotonic() - quiet_s
        return [
            tp
            for tp in tps
            if (watched := self.partitions.get(tp)) is not None
            and watched.applied_at <= before
            and watched.is_passed(mark)
        ]
