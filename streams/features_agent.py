"""The features' step: a raw batch is judged, and what was accepted goes to Redis behind its fence.

Promise: that of `streams.features.sink`, effectively once. Kafka's committed offset is a hint only: on assignment a
partition is read from behind its fence, and when Redis answers with another fence than expected, from there.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import structlog
from faust.types import TP

from schemas.ages import AGES
from schemas.clock import Clock, system_clock
from schemas.event import Event
from schemas.topics import raw_topic
from streams.breaker import runs_of
from streams.features.errors import SinkUnavailable
from streams.features.sink import FenceMoved, Outcome, Zombie
from streams.judging import Judging, cure_of, judge_records, tenant_of_raw
from streams.outages import outlast
from streams.parking import Parking
from streams.session_watch import SessionWatch
from streams.transport import Batch

log = structlog.get_logger()


Fences = dict[tuple[str, int], tuple[int, int] | None]


class FeatureSink(Protocol):
    """What is asked of `streams.features.sink.RedisFeatureSink`."""

    async def fence(self, tenant: str, partition: int) -> tuple[int, int] | None: ...

    async def fences(self, partitions: Mapping[str, Sequence[int]]) -> Fences: ...

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

    def __init__(self, tp: TP, epoch: int) -> None:
        super().__init__(f"{tp.topic}/{tp.partition} belongs to epoch {epoch}")


class FeaturesStep:
    """Applies batches to the sink; keeps each partition's fence as this worker last saw it."""

    def __init__(
        self,
        sink: FeatureSink,
        judge: Judging,
        *,
        parking: Parking | None = None,
        sessions: SessionWatch | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._sink = sink
        self._judge = judge
        self._parking = parking or Parking("features")
        self._sessions = sessions or SessionWatch()
        self._clock = clock
        self._fences: dict[TP, int | None] = {}
        self._epochs: dict[TP, int] = {}

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        """Behind each fence; a partition without one from its beginning, whatever was committed."""
        return dict(zip(tps, await asyncio.gather(*(self._begin(tp, epoch) for tp in tps)), strict=True))

    async def _begin(self, tp: TP, epoch: int) -> int:
        fence_epoch, offset = await self._read_fence(tp)
        self._fences[tp] = offset
        # A group that was made anew counts its generations from 1 again; the offset still lets nothing in twice.
        self._epochs[tp] = max(epoch, fence_epoch)
        self._sessions.begin(tp, self._epochs[tp])
        return _after(offset)

    async def _read_fence(self, tp: TP) -> tuple[int, int | None]:
        tenant = tenant_of_raw(tp.topic)
        found = await outlast("redis", lambda: self._sink.fence(tenant, tp.partition), SinkUnavailable)
        return found if found is not None else (0, None)

    async def lost(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """Where to read on in those partitions whose fence has gone back or vanished: Redis has lost data.

        Nothing is said of a partition that was written meanwhile, or that a later owner has. Raises SinkUnavailable.
        """
        known = {tp: offset for tp in tps if (offset := self._fences.get(tp)) is not None}
        numbers: dict[str, list[int]] = {}
        for tp in known:
            numbers.setdefault(tenant_of_raw(tp.topic), []).append(tp.partition)
        found = await self._sink.fences(numbers) if numbers else {}
        behind: dict[TP, int] = {}
        for (tenant, partition), place in found.items():
            tp, (epoch, offset) = TP(raw_topic(tenant), partition), place or (0, None)
            written_meanwhile = self._fences.get(tp) != known[tp]
            if not written_meanwhile and epoch <= self._epochs[tp] and _after(offset) <= known[tp]:
                behind[tp] = _after(offset)
        return behind

    async def process(self, batch: Batch) -> int | None:
        tenant, tp = tenant_of_raw(batch.topic), batch.tp
        if batch.first_offset < _after(self._fences[tp]):
            return await self._move_back(tp)
        events = await self._accepted(batch, tenant)
        outcome = await outlast(
            "redis",
            lambda: self._sink.apply(
                tenant, batch.partition, self._epochs[tp], self._fences[tp], batch.last_offset, events
            ),
            SinkUnavailable,
        )
        if isinstance(outcome, Zombie):
            raise PartitionLostError(tp, outcome.found_epoch)
        if isinstance(outcome, FenceMoved):
            log.warning("fence_moved", tenant=tenant, partition=batch.partition, found=outcome.found_offset)
            self._fences[tp] = outcome.found_offset
            return _after(outcome.found_offset)
        self._fences[tp] = batch.last_offset
        self._sessions.applied(tp, to_close=outcome.to_close)
        AGES.observe("redis", tenant, [event.received_at for event in events], self._clock())
        return None

    async def _move_back(self, tp: TP) -> int:
        """The partition is read again because of `lost`: where Redis wants it by now, which may be earlier still."""
        epoch, offset = await self._read_fence(tp)
        if epoch > self._epochs[tp]:
            raise PartitionLostError(tp, epoch)
        self._fences[tp] = offset
        return _after(offset)

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
