"""The breaker: when most of what a tenant sends is rejected, its raw processing is parked. Plain objects, no I/O.

A tenant is parked by a rejected event when, among its last `window` judged events (at least `min_events` of them),
more than `ratio` are rejected, or when it is the last of `run` in succession. Judging stops behind that batch. Parked,
it is tried again after a pause: one batch is let through, and where most of that is rejected too, the pause doubles.
Whoever knows that things have changed resumes it at once.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from streams.transport import Record

Runs = list[tuple[bool, int]]
"""Verdicts in the order of the events: (whether rejected, how many in succession)."""

OFF: Final = 1.0


class Reason(StrEnum):
    """Why a tenant is parked."""

    RATIO = "ratio"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """`ratio` 1.0 switches the breaker off. Pauses in seconds, the rest in events."""

    ratio: float = 0.5
    window: int = 1000
    min_events: int = 200
    run: int = 500
    first_pause_s: float = 60.0
    longest_pause_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= OFF or not 0 < self.min_events <= self.window or self.run < 1:
            raise ValueError(
                f"a ratio is above 0 and at most 1, min_events within the window, a run at least 1: {self}"
            )
        if not 0 < self.first_pause_s <= self.longest_pause_s:
            raise ValueError(f"the first pause is above 0 and no longer than the longest: {self}")


def runs_of(records: Collection[Record], rejected: Collection[int]) -> Runs:
    """The verdicts of a batch; `rejected` are offsets."""
    if not rejected:
        return [(False, len(records))]
    return [(bad, sum(1 for _ in each)) for bad, each in groupby(record.offset in rejected for record in records)]


def share_rejected(runs: Runs) -> float:
    """Of the events, 0 to 1; of none, 0."""
    return sum(count for bad, count in runs if bad) / max(1, sum(count for _, count in runs))


class VerdictWindow:
    """The verdicts of the last `size` events, as runs."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._runs: deque[list[int]] = deque()  # [1 where rejected else 0, how many]
        self.events = 0
        self.rejected = 0
        self.successive = 0  # rejected events at the end, of which more than `size` may have been seen

    def add(self, bad: bool, count: int) -> None:
        self._runs.append([int(bad), count])
        self.events += count
        self.rejected += count * bad
        self.successive = self.successive + count if bad else 0
        while self.events > self._size:
            oldest = self._runs[0]
            left = min(oldest[1], self.events - self._size)
            oldest[1] -= left
            self.events -= left
            self.rejected -= left * oldest[0]
            if not oldest[1]:
                self._runs.popleft()


class Breaker:
    """One tenant's breaker. Times are seconds of any clock that only goes forward."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._window = VerdictWindow(settings.window)
        self._pause_s = settings.first_pause_s
        self.reason: Reason | None = None  # None while the tenant's events are judged
        self.tries_at = 0.0  # parked: when the next batch is let through

    def admits(self, now_s: float) -> bool:
        """Whether a batch may be judged now; what was judged is then to be observed before anything is awaited."""
        return self.reason is None or now_s >= self.tries_at

    def observe(self, runs: Runs, now_s: float) -> None:
        """Take note of the verdicts of a batch that was admitted."""
        if self._settings.ratio == OFF:
            return
        if self.reason is not None:
            self._conclude_trial(runs, now_s)
            return
        for bad, count in runs:
            self._window.add(bad, count)
            # Only a rejected event parks, and of rejected events in succession the last is the likeliest to.
            if bad and (reason := self._reason()) is not None:
                self._park(reason, now_s)
                return

    def resume(self) -> None:
        """Judge on, as if nothing had been judged before."""
        self.reason = None
        self._window = VerdictWindow(self._settings.window)
        self._pause_s = self._settings.first_pause_s

    def _reason(self) -> Reason | None:
        settings, window = self._settings, self._window
        if window.successive >= settings.run:
            return Reason.RUN
        if window.events >= settings.min_events and window.rejected > settings.ratio * window.events:
            return Reason.RATIO
        return None

    def _conclude_trial(self, runs: Runs, now_s: float) -> None:
        if share_rejected(runs) <= self._settings.ratio:
            self.resume()
        else:
            self._pause_s = min(2 * self._pause_s, self._settings.longest_pause_s)
            self.tries_at = now_s + self._pause_s

    def _park(self, reason: Reason, now_s: float) -> None:
        self.reason = reason
        self.tries_at = now_s + self._pause_s
