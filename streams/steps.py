"""What a worker does with batches, seen from the app that runs it."""

from collections.abc import Collection, Mapping
from typing import Protocol

from faust.types import TP, EventT

from streams.transport import Batch


class Step(Protocol):
    """One concern of the stream whose batches are processed one by one: judging, features."""

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        """From which offset the sink wants each partition; a partition left out goes on where it was committed.

        `epoch` is the generation of the group in which the partitions were assigned.
        """
        ...

    async def process(self, batch: Batch) -> int | None:
        """Return when the batch's effects are durable: None, or the offset from which to read again instead.

        Batches of one partition come one after the other in offset order, those of several at once. After an
        exception the same batch comes again. Cancelled when the partition is taken away meanwhile.
        """
        ...


class Runner(Protocol):
    """Takes an agent's events, whose values are batches, and acknowledges those that are done."""

    async def submit(self, event: EventT) -> None:
        """Take an event; waits while too much is held already."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Finish what is at work, abandon what takes longer; the abandoned is read again."""
        ...
