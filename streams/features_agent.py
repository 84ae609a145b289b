"""The features' step: a raw batch is judged, and what was accepted goes to Redis behind its fence.

Promise: that of `streams.features.sink`, effectively once. Kafka's committed offset is a hint only: on assignment a
partition is read from behind its fence, and when Redis answers with another fence than expected, from there.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

import structlog
from faust.types import TP

from schemas.ages import AGES
from schemas.clock import Clock, system_clock
from schemas.event import Event
from streams.breaker import runs_of
from streams.features.errors import SinkUnavailable
from streams.features.sink import FenceMoved, Outcome, Zombie
from streams.judging import Judging, cure_of, judge_records, tenant_of_raw
from streams.outages import outlast
from streams.parking import Parking
from streams.transport import Batch

log = structlog.get_logger()


class FeatureSink(Protocol):
    """What is asked of `streams.features.sink.RedisFeatureSink`."""

    async def fence(self, tenant: str, partition: int) -> tuple[int, int] | None: ...

    async def apply(
        self,
        tenant: str,
        partition: int,
        epoch: int,
        expected_offset: int | None,
        last_offset: int,
        events: list[Event],
    ) -> Outcome: ...


class PartitionLostError(Exception):
    """A later owner writes this partition; the group will tell us so."""


class FeaturesStep:
    """Applies batches to the sink; keeps each partition's fence as this worker last saw it."""

    def __init__(
        self, sink: FeatureSink, judge: Judging, *, parking: Parking | None = None, clock: Clock = system_clock
    ) -> None:
        self._sink = sink
        self._judge = judge
        self._parking = parking or Parking("features")
        self._clock = clock
        self._fences: dict[TP, int | None] = {}
        self._epochs: dict[TP, int] = {}

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        """Behind each fence; a partition without one from its beginning, whatever was committed."""
        return dict(zip(tps, await asyncio.gather(*(self._begin(tp, epoch) for tp in tps)), strict=True))

    async def _begin(self, tp: TP, epoch: int) -> int:
        tenant = tenant_of_raw(tp.topic)
        found = await outlast("redis", lambda: self._sink.fence(tenant, tp.partition), SinkUnavailable)
        fence_epoch, offset = found if found is not None else (0, None)
        self._fences[tp] = offset
        # A group that was made anew counts its generations from 1 again; the offset still lets nothing in twice.
        self._epochs[tp] = max(epoch, fence_epoch)
        return _after(offset)

    async def process(self, batch: Batch) -> int | None:
        tenant, tp = tenant_of_raw(batch.topic), batch.tp
        events = await self._accepted(batch, tenant)
        outcome = await outlast(
            "redis",
            lambda: self._sink.apply(
                tenant, batch.partition, self._epochs[tp], self._fences[tp], batch.last_offset, events
            ),
            SinkUnavailable,
        )
        if isinstance(outcome, Zombie):
            raise PartitionLostError(f"{batch.topic}/{batch.partition} belongs to epoch {outcome.found_epoch}")
        if isinstance(outcome, FenceMoved):
            log.warning("fence_moved", tenant=tenant, partition=batch.partition, found=outcome.found_offset)
            self._fences[tp] = outcome.found_offset
            return _after(outcome.found_offset)
        self._fences[tp] = batch.last_offset
        AGES.observe("redis", tenant, [event.received_at for event in events], self._clock())
        return None

    async def _accepted(self, batch: Batch, tenant: str) -> list[Event]:
        """The accepted events; waits while the tenant is parked, as the judge does by the same rule."""
        batch.waiting = True
        await self._parking.admission(tenant)
        batch.waiting = False
        judged = judge_records(batch.records, tenant, self._judge)
        refused = [record for record, _ in judged.rejected]
        verdicts = runs_of(batch.records, {record.offset for record in refused})
        self._parking.observe(tenant, verdicts, cure_of(self._judge, batch, refused))
        return [event for _, event in judged.accepted]


def _after(offset: int | None) -> int:
    """Where to read on; before the first record that Kafka still has, it begins with that one."""
    return 0 if offset is None else offset + 1
