"""Consumer lag: what the groups of this process have yet to process, by tenant, as gauges.

Workers look at their partitions now and then and report; a scrape reads what was last reported and asks nobody. A
tenant that a look does not find has no series any more, nor has a group that stopped reporting: no value is better
than an old one.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Final

from prometheus_client import REGISTRY, Metric
from prometheus_client.registry import Collector

from schemas.metrics import CONSUMER_LAG_RECORDS, CONSUMER_LAG_SECONDS

MAX_TENANTS: Final = 200  # with series of their own, a group
STALE_S: Final = 15.0
OTHERS: Final = "(others)"  # no tenant's name: tenants that share a series


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a group stands in one partition. `oldest_ms`: arrival of the record at `done`, where it was fetched."""

    tenant: str
    done: int  # everything before this offset is processed
    end: int  # the offset behind the newest record
    oldest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """`seconds`: age of the oldest of the records, or at least that."""

    records: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Lag") -> "Lag":
        return Lag(self.records + other.records, max(self.seconds, other.seconds))


class LagMeter:
    """Sums readings up by tenant. Keeps, for each partition that is behind, an end it was seen with, and when."""

    def __init__(self) -> None:
        self._marks: dict[Any, tuple[int, int]] = {}  # partition -> (end, ms)

    def measure(self, readings: Mapping[Any, Reading], now_ms: int) -> dict[str, Lag]:
        """tenant -> lag, over all partitions of a group that this process holds."""
        lags: dict[str, Lag] = {}
        for place in self._marks.keys() - readings.keys():
            del self._marks[place]
        for place, reading in readings.items():
            age_s = self._age_ms(place, reading, now_ms) / 1000
            lags[reading.tenant] = lags.get(reading.tenant, Lag()) + Lag(max(0, reading.end - reading.done), age_s)
        return lags

    def _age_ms(self, place: Any, reading: Reading, now_ms: int) -> int:
        """A record that nobody has fetched is at least as old as the first look that found an end behind it."""
        if reading.end <= reading.done:
            self._marks.pop(place, None)
            return 0
        end, since_ms = self._marks.get(place, (0, 0))
        if end <= reading.done:
            since_ms = now_ms
            self._marks[place] = (reading.end, now_ms)
        return max(0, now_ms - (since_ms if reading.oldest_ms is None else reading.oldest_ms))


class LagBoard(Collector):
    """What each group reported last. Of more than `max_tenants` a group those furthest behind keep their names."""

    def __init__(
        self,
        *,
        max_tenants: int = MAX_TENANTS,
        stale_s: float = STALE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups: dict[str, tuple[float, Mapping[str, Lag]]] = {}
        self._max_tenants = max_tenants
        self._stale_s = stale_s
        self._monotonic = monotonic

    def report(self, group: str, lags: Mapping[str, Lag]) -> None:
        """Replaces what the group reported before."""
        self._groups[group] = (self._monotonic(), lags)

    def describe(self) -> Iterable[Metric]:
        return [*CONSUMER_LAG_RECORDS.describe(), *CONSUMER_LAG_SECONDS.describe()]

    def collect(self) -> Iterator[Metric]:
        records, seconds = self.describe()
        for group, (at, lags) in self._groups.items():
            if self._monotonic() - at > self._stale_s:
                continue
            for tenant, lag in self._bounded(lags).items():
                labels = {"group": group, "tenant": tenant}
                records.add_sample(records.name, labels, lag.records)
                seconds.add_sample(seconds.name, labels, lag.seconds)
        yield from (records, seconds)

    def _bounded(self, lags: Mapping[str, Lag]) -> Mapping[str, Lag]:
        if len(lags) <= self._max_tenants:
            return lags
        kept = nlargest(self._max_tenants, lags, key=lambda tenant: (lags[tenant].records, lags[tenant].seconds))
        rest = sum((lags[tenant] for tenant in lags.keys() - set(kept)), Lag())
        return {tenant: lags[tenant] for tenant in kept} | {OTHERS: rest}


LAG: Final = LagBoard()
REGISTRY.register(LAG)
