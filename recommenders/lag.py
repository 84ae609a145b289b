"""What the recommender worker has yet to read of each tenant, looked at now and then and shown by `schemas.lag`.

Read is not yet listed: how old events are when the lists show them is `millrace_event_age_seconds{sink="rec_cache"}`.
"""

import asyncio
from typing import Final

from recommenders.tail import ValidatedTail
from schemas.clock import Clock
from schemas.lag import LAG, LagBoard, LagMeter, Reading
from schemas.topics import VALIDATED_PREFIX, tenant_of

LOOKING_S: Final = 5.0


class TailLag:
    def __init__(self, tail: ValidatedTail, group: str, clock: Clock, *, board: LagBoard = LAG) -> None:
        self._tail = tail
        self._group = group
        self._clock = clock
        self._board = board
        self._meter = LagMeter()

    async def report(self) -> None:
        """One look; none while the broker is silent. Raises KafkaError."""
        try:
            async with asyncio.timeout(LOOKING_S):  # a topic that was just deleted has no end
                ends = await self._tail.ends()
                # The consumer knows better than the tail where it stands: retention may have moved it.
                done = {tp: await self._tail.consumer.position(tp) for tp in ends if tp in self._tail.positions}
        except TimeoutError:
            return
        readings = {
            tp: Reading(tenant, offset, ends[tp])
            for tp, offset in done.items()
            if (tenant := tenant_of(tp.topic, VALIDATED_PREFIX)) is not None
        }
        self._board.report(self._group, self._meter.measure(readings, self._clock()))
