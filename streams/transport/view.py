"""What others may see of a consumer: where it stands in its partitions, and what is at work. It changes nothing."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faust.types import TP

from streams.transport.batch import Batch

if TYPE_CHECKING:
    from streams.transport.consumer import Consumer


@dataclass(frozen=True, slots=True)
class Standing:
    """The offset that is handed out next in a partition, and its end as its last fetch saw it, at `seen_at` ms."""

    position: int
    end: int
    seen_at: int


class View:
    """Belongs to the app's event loop, as its consumer does."""

    def __init__(self, consumer: "Consumer") -> None:
        self._consumer = consumer

    def owned(self) -> set[TP]:
        """The partitions that are this worker's."""
        return set(self._consumer.assignment())

    def idle(self) -> set[TP]:
        """Those that are read and have nothing in flight; none while a rebalance is being prepared."""
        if not self._consumer.flow_active:
            return set()
        ledger = self._consumer.ledger
        return {tp for tp in self.owned() - self._consumer.unplaced if not ledger.in_flight(tp)}

    def oldest(self) -> Mapping[TP, Batch]:
        """The oldest batch in flight of every partition that has one."""
        return self._consumer.ledger.oldest()

    async def standings(self) -> Mapping[TP, Standing]:
        """Every partition that was fetched since it was placed; of another nobody knows where it stands.

        Raises ConsumerNotStarted before the consumer's thread has begun, RuntimeError once it has ended.
        """
        return await self._consumer.standings()

    async def ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """The ends of partitions as the broker says them now. Raises KafkaError, ConsumerNotStarted, RuntimeError."""
        return await self._consumer.ends(tps)
