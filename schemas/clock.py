"""The injected clock. Always UTC, always integer milliseconds since the Unix epoch."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def system_clock() -> int:
    """The machine's time, in ms."""
    return time.time_ns() // 1_000_000
