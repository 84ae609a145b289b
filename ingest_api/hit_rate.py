"""The share of the last requests that found what they looked for, as a gauge."""

from collections import deque
from typing import Final

from prometheus_client import Gauge

WINDOW: Final = 1000


class HitRate:
    def __init__(self, gauge: Gauge) -> None:
        self._last: deque[bool] = deque(maxlen=WINDOW)
        self._hits = 0
        self._gauge = gauge

    def count(self, *, hit: bool) -> None:
        if len(self._last) == WINDOW:
            self._hits -= self._last[0]
        self._last.append(hit)
        self._hits += hit
        self._gauge.set(self._hits / len(self._last))
