"""Sending many events by one door: batches under way at once, an optional rate, and what was measured."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from infra.doors.door import Door, Outcome


@dataclass(slots=True)
class Sent:
    """The sum of a run. `latencies_s` holds one value a call, that is a batch."""

    taken: int = 0
    rejected: int = 0
    unavailable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.taken + self.rejected + self.unavailable

    @property
    def per_second(self) -> float:
        return self.total / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Latency of a call that `share` (0-1) of the calls did not exceed; 0 without any call."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0

    def add(self, outcome: Outcome, latency_s: float) -> None:
        self.taken += outcome.taken
        self.latencies_s.append(latency_s)
        for refusal in outcome.refusals:
            if refusal.is_the_brokers_fault:
                self.unavailable += 1
            else:
                self.rejected += 1
            self.reasons.update(refusal.codes[:1] or (refusal.message,))


async def send_all(
    door: Door, events: Iterable[bytes], *, rate: float | None = None, on_progress: Callable[[Sent], None] | None = None
) -> Sent:
    """Send every event, in order where one call is under way at a time; `rate` is events a second at most."""
    sent = Sent()
    size = door.batch_size if rate is None else max(1, min(door.batch_size, int(rate / 20)))
    batches = _batches(iter(events), size)
    pace = _Pace(rate)
    started = time.perf_counter()

    async def work() -> None:
        for batch in batches:
            await pace.wait(len(batch))
            began = time.perf_counter()
            outcome = await door.send(batch)
            now = time.perf_counter()
            sent.add(outcome, now - began)
            sent.seconds = now - started
            if on_progress is not None:
                on_progress(sent)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(door.calls):
                group.create_task(work())
    except* Exception as errors:
        raise errors.exceptions[0] from None
    return sent


def _batches(events: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while batch := list(islice(events, size)):
        yield batch


class _Pace:
    """Lets events through at a rate, evenly; without a rate, at once."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next = time.perf_counter()

    async def wait(self, events: int) -> None:
        if self._rate is None:
            return
        now = time.perf_counter()
        due, self._next = self._next, max(self._next, now) + events / self._rate
        if due > now:
            await asyncio.sleep(due - now)
