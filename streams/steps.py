"""What an agent does with batches, seen from the worker that runs it."""

from collections.abc import Collection, Mapping
from typing import Protocol

from faust.types import TP

from streams.transport import Batch


class Step(Protocol):
    """One concern of the stream: judging, features or analytics."""

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
