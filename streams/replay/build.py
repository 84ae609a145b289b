"""Folds a tenant's raw records into its shadow, exactly as far as the features in use have them.

Promise: that of the sink, effectively once, for the shadow has fences of its own. It never goes beyond the live fences:
what a parked tenant keeps back, and what the worker has not judged, a rebuild does not judge for it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from schemas.event import Event
from streams.features.errors import SinkUnavailable
from streams.features.sink import Applied, Outcome, RedisFeatureSink
from streams.judging import Judging, judge_records
from streams.replay.errors import ReplayLost
from streams.replay.log import RawLog
from streams.replay.sessions import EPOCH
from streams.replay.shadow import ShadowKeys, names_of
from streams.transport import Record

BATCH_RECORDS: Final = 2000
REDIS_AWAY_S: Final = 60.0

OnProgress = Callable[[int, int], None]
"""(records folded, how many that will be)."""


@dataclass(slots=True)
class Folded:
    """What a rebuild has read: raw records, and the events that were accepted of them."""

    records: int = 0
    events: int = 0
    first_at: dict[int, int] = field(default_factory=dict)  # partition -> arrival of its first record, ms


class ShadowBuilder:
    """Of one tenant. `sink` writes its shadow; `starts`: at which offset each partition begins."""

    def __init__(
        self,
        log: RawLog,
        sink: RedisFeatureSink,
        judge: Judging,
        keys: ShadowKeys,
        starts: Mapping[int, int],
    ) -> None:
        self._tenant = keys.live.tenant
        self._log = log
        self._sink = sink
        self._judge = judge
        self._keys = keys
        self._starts = starts
        self._applied: dict[int, int | None] = {}  # partition -> fence of the shadow
        self.folded = Folded()
        self._touched: set[bytes] | None = None

    def behind(self, fences: Mapping[int, int]) -> int:
        """How many offsets lie between the shadow and these fences."""
        begun = {number: self._applied.get(number, self._starts.get(number, 0) - 1) for number in fences}
        return sum(max(0, last - (-1 if (at := begun[number]) is None else at)) for number, last in fences.items())

    def take_touched(self) -> set[bytes]:
        """Names of users' keys that may have changed since this was asked before; none at the first time."""
        touched, self._touched = self._touched or set(), set()
        return touched

    async def catch_up(self, fences: Mapping[int, int], on_progress: OnProgress | None = None) -> None:
        """Fold everything up to these fences, by partition. Raises ReplayLost, RecordsGone, SinkUnavailable."""
        for number in fences.keys() - self._applied.keys():
            await self._begin(number, fences[number])
        upto = {number: last for number, last in fences.items() if (at := self._applied[number]) is None or at < last}
        total = self.folded.records + self.behind(fences)
        async for batches in self._log.read(upto):
            await asyncio.gather(*(self._fold(number, records) for number, records in batches.items()))
            if on_progress is not None:
                on_progress(self.folded.records, total)

    async def _begin(self, number: int, fence: int) -> None:
        """The shadow has everything before its first record: nothing."""
        start = min(self._starts.get(number, 0), fence + 1)
        self._log.seek(number, start)
        self._applied[number] = None
        if start > 0:
            await self._apply(number, start - 1, [])

    async def _fold(self, number: int, records: Sequence[Record]) -> None:
        for first in range(0, len(records), BATCH_RECORDS):
            batch = records[first : first + BATCH_RECORDS]
            self.folded.first_at.setdefault(number, batch[0].timestamp)
            events = [event for _, event in judge_records(batch, self._tenant, self._judge).accepted]
            await self._apply(number, batch[-1].offset, events)
            await self._keys.let_expire(number, events)
            if self._touched is not None:
                self._touched |= names_of(events)
            self.folded.records += len(batch)
            self.folded.events += len(events)

    async def _apply(self, number: int, last_offset: int, events: list[Event]) -> None:
        outcome = await self._patiently(number, last_offset, events)
        if not isinstance(outcome, Applied):
            raise ReplayLost(self._tenant)
        self._applied[number] = last_offset

    async def _patiently(self, number: int, last_offset: int, events: list[Event]) -> Outcome:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(SinkUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=5.0),
            stop=stop_after_delay(REDIS_AWAY_S),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await self._sink.apply(self._tenant, number, EPOCH, self._applied[number], last_offset, events)
        raise AssertionError("an attempt ends in an outcome or an exception")
