"""Forward decay: a hot list's score is a sum of weight * 2^((t - landmark) / half_life), never rewritten.

Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A Practical Time Decay Model for Streaming
Systems", ICDE 2009.
"""

import math
from typing import Final

from streams.features.model import DAY_MS

TENANT_HALF_LIFE_MS: Final = DAY_MS  # of hot:global and hot:category; a scenario's list has its template's

# 2^1024 is not a float64. At 2^1000 there is room for 2^24 units of weight in one sum, and at 2^-1000 a score
# is still above zero, so an event from years away counts a little too much or too little, but never breaks a list.
MAX_EXPONENT: Final = 1000.0


def decayed(weight: float, timestamp: int, landmark: int, half_life_ms: int) -> float:
    """What an event of that weight adds to a list of that half-life; times in ms."""
    exponent = (timestamp - landmark) / half_life_ms
    return weight * math.exp2(max(-MAX_EXPONENT, min(MAX_EXPONENT, exponent)))


def landmark_of(received_at: int) -> int:
    """The landmark, in ms, of a tenant whose first event arrived then: the beginning of that day.

    The time of arrival, not of the event: one event dated back to the year 2000 must not put the landmark there,
    from where every score of today would be beyond what a float64 holds.
    """
    return received_at - received_at % DAY_MS
