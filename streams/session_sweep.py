"""Sweeps: every few seconds sessions that the watermark has passed are closed, and summaries are shipped.

Asked of Redis are only partitions of which a batch said that there is something, that were just assigned, or that have
been quiet for a while. A quiet partition of which everything is read and applied goes by the clock: its watermark is
moved as if an event had arrived just now. A sweep ends before partitions are let go, so two workers ship no partition
at once. Redis or Kafka away: the next sweep tries again, and nothing is lost.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from schemas.clock import Clock, system_clock
from streams.app import StreamApp
from streams.features.closing import Closed, Summary
from streams.features.errors import FeatureSinkError
from streams.features.watermark import Closing
from streams.judging import tenant_of_raw
from streams.session_watch import SessionWatch, Watched
from streams.transport.view import View

log = structlog.get_logger()

AT_ONCE: Final = 16
AWAY: Final = (FeatureSinkError, KafkaError, OSError)


class ClosingSink(Protocol):
    """What is asked of `streams.features.sink.RedisFeatureSink`."""

    closing: Closing

    async def close_sessions(
        self, tenant: str, partition: int, epoch: int, *, mark: int = 0, shipped: str = "", most: int = 500
    ) -> Closed | None: ...


class Shipper(Protocol):
    """What is asked of `streams.summary_shipper.SummaryShipper`."""

    async def ship(self, tenant: str, partition: int, outbox: Sequence[Summary], shipped: str | None) -> str: ...


class SessionSweep:
    """Sweeps the partitions that a view says are ours."""

    def __init__(
        self,
        sink: ClosingSink,
        shipper: Shipper,
        watch: SessionWatch,
        *,
        quiet_s: float = 30.0,
        clock: Clock = system_clock,
    ) -> None:
        self._sink = sink
        self._shipper = shipper
        self._watch = watch
        self._quiet_s = quiet_s
        self._clock = clock
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._sweeping: asyncio.Task[None] | None = None
        self._stopping = False
        self._failing = False

    async def sweep(self, view: View) -> None:
        """One round. It fails softly, and the partitions that failed stay due."""
        self._stopping = False
        self._sweeping = asyncio.create_task(self._round(view), name="sessions")
        await asyncio.wait({self._sweeping})

    async def drain(self, timeout_s: float) -> None:
        """Let what is at work finish; the rest, and what is abandoned, is found by the next owner."""
        self._stopping = True
        if self._sweeping is None or self._sweeping.done():
            return
        await asyncio.wait({self._sweeping}, timeout=timeout_s)
        self._sweeping.cancel()
        await asyncio.wait({self._sweeping})

    async def _round(self, view: View) -> None:
        marks = dict.fromkeys(self._watch.due(view.owned()), 0) | await self._quiet(view)
        done = await asyncio.gather(*(self._try(tp, mark) for tp, mark in marks.items()))
        if done and all(done):
            self._failing = False

    async def _quiet(self, view: View) -> dict[TP, int]:
        """Where the clock moves the watermarks of quiet partitions of which everything that is there was applied."""
        mark = self._sink.closing.at_clock(self._clock())
        quiet = self._watch.quiet(view.idle(), mark, self._quiet_s)
        if not quiet:
            return {}
        try:
            standings = await view.standings()
            ends = await view.ends([tp for tp in quiet if tp in standings])
        except (KafkaError, ConsumerNotStarted, RuntimeError) as error:
            self._say("ends_unknown", error)
            return {}
        return {tp: mark for tp in view.idle() & ends.keys() if standings[tp].position >= ends[tp]}

    async def _try(self, tp: TP, mark: int) -> bool:
        """Whether the partition is settled, or somebody else's."""
        watched = self._watch.partitions[tp]
        async with self._at_once:
            try:
                await self._settle(tp, watched, mark)
            except AWAY as error:
                self._say("sessions_not_closed", error)
                watched.due, watched.shipped = True, None
                return False
        return True

    async def _settle(self, tp: TP, watched: Watched, mark: int) -> None:
        """Close and ship, some at a time, until nothing is left."""
        tenant = tenant_of_raw(tp.topic)
        watched.due, watched.looked = False, True
        while not self._stopping:
            closed = await self._sink.close_sessions(
                tenant, tp.partition, watched.epoch, mark=mark, shipped=watched.shipped or ""
            )
            if closed is None:
                return
            watched.next_at = closed.next_at
            if closed.outbox:
                watched.shipped = await self._shipper.ship(tenant, tp.partition, closed.outbox, watched.shipped)
            elif not closed.more:
                return
        watched.due = True

    def _say(self, what: str, error: Exception) -> None:
        if not self._failing:
            log.warning(what, error=repr(error))
        self._failing = True


def with_sessions(app: StreamApp, sweep: SessionSweep) -> StreamApp:
    """The app, which sweeps from its start to its stop, but not while partitions change hands."""

    async def close_sessions() -> None:
        if app.consumer.flow_active:
            await sweep.sweep(app.consumer.view)

    app.drains.append(sweep.drain)
    app.timer(app.config.closing_interval_s, name="sessions")(close_sessions)
    return app
