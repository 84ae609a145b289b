"""One rebuild: fold the log into a shadow, compare, and put it in the place of the features in use.

Promise: until the swap nothing in use changes, and the swap changes it whole (swap.py). A rebuild that is killed leaves
keys of the shadow only, which end by themselves within a day and which the next one, or `abort`, removes; one killed
within a swap in parts is finished by the next one, or by `abort`.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from redis.exceptions import RedisError

from schemas.clock import Clock, system_clock
from schemas.kafka import KafkaDsn
from streams.features.errors import FenceUnreadable
from streams.features.model import Lifetimes, Signals, Sizes
from streams.features.sink import RedisFeatureSink
from streams.features.watermark import Closing
from streams.judging import Judging
from streams.replay.build import OnProgress, ShadowBuilder
from streams.replay.compare import Difference, compare
from streams.replay.errors import AlwaysBehind, ReplayRunning, StartAhead, UserErased
from streams.replay.listing import Listing
from streams.replay.log import RawLog, open_log
from streams.replay.owner import Ownership, end_ownership
from streams.replay.sessions import settle_sessions
from streams.replay.shadow import SHADOW_LIFE_S, ShadowKeys
from streams.replay.swap import HOLD_MS, Swap

CLOSE: Final = 200  # offsets behind that are caught up with while the tenant's batches wait: some 10 ms
NEAR: Final = 5_000  # the same where coming closer does not work out, since much comes in: well below a second
ROUNDS: Final = 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be rebuilt. `since_ms` None: everything that Kafka has. `swap` false: build, compare and remove."""

    tenant: str
    since_ms: int | None = None
    swap: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """`complete_from` (ms) is None where the log was read from its very beginning; else what is older was kept where
    it can be: `kept_older` keys. `pause_ms`: how long the tenant's batches waited; `scripts` 1: readers saw the old
    features or the new."""

    tenant: str
    records: int
    events: int
    seconds: float
    keys: int
    complete_from: int | None
    kept_older: int
    difference: Difference
    swapped: bool
    pause_ms: float = 0.0
    scripts: int = 0


class Rebuild:
    """Of one tenant. `redis` answers bytes; `lifetimes`, `sizes` and `closing` are those of the worker's sink."""

    def __init__(
        self,
        redis: Any,
        kafka: KafkaDsn,
        judge: Judging,
        signals: Signals,
        order: Order,
        *,
        cluster: bool = False,
        lifetimes: Lifetimes | None = None,
        sizes: Sizes | None = None,
        closing: Closing | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._redis = redis
        self._kafka = kafka
        self._judge = judge
        self._order = order
        self._sizes = sizes or Sizes()
        self._clock = clock
        self._keys = ShadowKeys(redis, order.tenant, cluster=cluster)
        self._owner = Ownership(redis, self._keys.live)
        self._swap = Swap(redis, self._keys, lifetimes or Lifetimes())
        short_lived = replace(lifetimes or Lifetimes(), recent_s=SHADOW_LIFE_S)
        self._sink = RedisFeatureSink(
            redis,
            signals,
            cluster=cluster,
            lifetimes=short_lived,
            sizes=self._sizes,
            closing=closing,
            shadow=True,
        )

    async def run(self, on_progress: OnProgress | None = None) -> Report:
        """Raises ReplayError, KafkaError, RedisError, and SinkUnavailable where Redis was away for a minute."""
        if self._order.since_ms is not None and self._order.since_ms > self._clock():
            raise StartAhead(str(self._order.since_ms))
        async with open_log(self._kafka, self._order.tenant) as log, self._owner.taken():
            await clear(self._keys, self._swap)
            try:
                return await self._rebuild(log, on_progress)
            finally:
                with suppress(RedisError):  # the next run clears
                    await clear(self._keys, self._swap)

    async def _rebuild(self, log: RawLog, on_progress: OnProgress | None) -> Report:
        began, began_at = time.monotonic(), self._clock()
        starts, begins = await log.starts(self._order.since_ms), await log.begins()
        builder = ShadowBuilder(log, self._sink, self._judge, self._keys, starts)
        await self._approach(builder, on_progress)
        complete_from = self._complete_from(starts, begins, builder)
        kept = 0
        if complete_from is not None:
            kept = await self._keys.keep_older(complete_from, self._sizes.recent)
        builder.take_touched()
        await self._settle(at_live_mark=False)
        names = await self._keys.names()
        stale = await self._keys.stale(names)
        difference, same = await compare(self._redis, self._keys, names, stale, lambda: self._approach(builder))
        pause_ms, scripts = 0.0, 0
        if self._order.swap:
            pause_ms, scripts = await self._put(builder, Listing(names - same, set(stale)), began_at)
        return Report(
            tenant=self._order.tenant,
            records=builder.folded.records,
            events=builder.folded.events,
            seconds=time.monotonic() - began,
            keys=len(names),
            complete_from=complete_from,
            kept_older=kept,
            difference=difference,
            swapped=self._order.swap,
            pause_ms=pause_ms,
            scripts=scripts,
        )

    async def _approach(self, builder: ShadowBuilder, on_progress: OnProgress | None = None) -> None:
        """Up to where the features in use are nearly the same. Raises AlwaysBehind."""
        before = None
        for _ in range(ROUNDS):
            fences = await self._fences()
            await self._owner.check()
            behind = builder.behind(fences)
            await builder.catch_up(fences, on_progress)
            gains_little = before is not None and 2 * behind > before
            if behind <= CLOSE or (behind <= NEAR and gains_little):
                return
            before = behind
        raise AlwaysBehind(self._order.tenant, builder.behind(await self._fences()))

    async def _put(self, builder: ShadowBuilder, listing: Listing, began_at: int) -> tuple[float, int]:
        """Swap. For how many ms the tenant's batches waited, and in how many scripts it was done."""
        for _ in range(ROUNDS):
            await listing.follow(self._keys, builder.take_touched(), await self._fences())
            await self._approach(builder)
            await self._hold()
            held = time.monotonic()
            try:
                fences = await self._fences()
                if builder.behind(fences) > NEAR:
                    continue
                await builder.catch_up(fences)
                await self._settle(at_live_mark=True)
                await self._owner.check()
                self._check_erasures(began_at)
                await listing.follow(self._keys, builder.take_touched(), fences)
                scripts = await self._swap.put(listing.moved, list(listing.dropped))
                return (time.monotonic() - held) * 1000, scripts
            finally:
                await self._swap.release()
        raise AlwaysBehind(self._order.tenant, builder.behind(await self._fences()))

    async def _hold(self) -> None:
        """Waits for the hold of a rebuild that was killed to end. Raises ReplayRunning."""
        deadline = time.monotonic() + 2 * HOLD_MS / 1000
        while not await self._swap.hold():
            await self._owner.check()
            if time.monotonic() > deadline:
                raise ReplayRunning(self._order.tenant, "somebody who holds them")
            await asyncio.sleep(1)

    async def _settle(self, *, at_live_mark: bool) -> None:
        fences = await self._fences()
        await settle_sessions(self._redis, self._keys, self._sink, fences, at_live_mark=at_live_mark)

    async def _fences(self) -> dict[int, int]:
        """The offsets up to which each partition is in the features in use. Raises FenceUnreadable."""
        key = self._keys.live.key("fence", "features")
        found = cast(Mapping[bytes, bytes], await self._redis.hgetall(key))
        fences = {}
        for partition, value in found.items():
            epoch, _, offset = value.partition(b":")
            if not (epoch.isdigit() and offset.isdigit()):
                raise FenceUnreadable(key, int(partition), value.decode(errors="replace"))
            fences[int(partition)] = int(offset)
        return fences

    def _complete_from(
        self, starts: Mapping[int, int], begins: Mapping[int, int], builder: ShadowBuilder
    ) -> int | None:
        """A partition that Kafka has cut off is complete from its first record, any other from the moment asked for."""
        if not any(starts.values()):
            return None
        cut_off = [number for number, start in starts.items() if 0 < start == begins[number]]
        first = [builder.folded.first_at.get(number, 0) for number in cut_off]
        return max(self._order.since_ms or 0, *first, 0) or self._clock()

    def _check_erasures(self, began_at: int) -> None:
        erasures = self._judge.erased.of(self._order.tenant)
        if erasures is not None and erasures.newest_ms >= began_at:
            raise UserErased(self._order.tenant)


async def abort(redis: Any, tenant: str, *, cluster: bool = False, lifetimes: Lifetimes | None = None) -> bool:
    """End whatever rebuild there is, and remove its shadow. A swap that had begun is finished, which is the answer."""
    keys = ShadowKeys(redis, tenant, cluster=cluster)
    swap = Swap(redis, keys, lifetimes or Lifetimes())
    await end_ownership(redis, keys.live)
    await swap.end_foreign_hold()
    return await clear(keys, swap)


async def clear(keys: ShadowKeys, swap: Swap) -> bool:
    """Nothing of a shadow is left; a swap that had begun is finished first, which is the answer."""
    finished = await swap.finish()
    await keys.remove()
    return finished
