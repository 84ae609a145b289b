"""The watermark of a partition: how far event time has come there, which is what ends sessions.

An event moves it to its own time less the allowed lateness, and to its arrival less the idle allowance, whichever is
later, and never back. Nothing else is asked, so the watermark at an event is a function of the events up to it, and a
replay finds the same. An event dated ahead of its arrival counts as of its arrival: a fast clock closes nobody's
session.

While a partition is idle the clock takes the place of arrivals (`at_clock`), less what a producer may take to deliver
a record that carries its own time: what arrives later moves the watermark at least as far, so a session that is closed
then would be found closed by the next event in any case.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.event import Event

MINUTE_MS = 60_000
SKEW_MS = MINUTE_MS  # how far an arrival may be ahead of our clock; beyond it is taken for now
DELIVERY_MS = 2 * MINUTE_MS  # Kafka's producers give up on a record by then


@dataclass(frozen=True, slots=True)
class Closing:
    """How long a partition waits for events that are late, ms.

    `lateness_ms`: how far behind the newest event others may come and still be merged. `idle_ms`: as much against the
    newest arrival, however old events are.
    """

    lateness_ms: int = 5 * MINUTE_MS
    idle_ms: int = 15 * MINUTE_MS

    def __post_init__(self) -> None:
        if not 0 <= self.lateness_ms <= self.idle_ms:
            raise ValueError(f"the allowed lateness is between 0 and the idle allowance: {self}")

    def mark(self, moment: int, arrival: int) -> int:
        """Where an event of that time and arrival, ms, moves the watermark."""
        return max(min(moment, arrival) - self.lateness_ms, arrival - self.idle_ms)

    def at_clock(self, now_ms: int) -> int:
        """Where the watermark of a partition stands of which everything that had arrived at `now_ms` was applied."""
        return now_ms - self.idle_ms - DELIVERY_MS

    def marks(self, events: Iterable[Event], now_ms: int) -> list[int]:
        """The watermark at each event, the events alone moving it. An arrival that cannot be is taken for now."""
        lateness, idle, latest = self.lateness_ms, self.idle_ms, now_ms + SKEW_MS
        marks, highest = [], 0
        for event in events:
            arrival, moment = event.received_at, event.timestamp
            if not 0 < arrival <= latest:
                arrival = now_ms
            mark = (moment if moment < arrival else arrival) - lateness
            if mark < arrival - idle:
                mark = arrival - idle
            if mark > highest:
                highest = mark
            marks.append(highest)
        return marks
