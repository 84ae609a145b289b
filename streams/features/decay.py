"""Forward decay: a score is a sum of weight * 2^((t - landmark) / half_life), not rewritten as time passes.

Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A Practical Time Decay Model for Streaming
Systems", ICDE 2009.

Each list has a landmark of its own. It moves, a whole number of half-lives at a time, when an event arrives `SPAN`
half-lives or more behind it: every score is then divided by a power of two, which is exact, so no order and no ratio
changes. An event counts as of its arrival at the latest, so a score is at most 2^SPAN times the weight in it.
"""

import hashlib
from typing import Final

from streams.features.model import DAY_MS

TENANT_HALF_LIFE_MS: Final = DAY_MS  # of hot:global and hot:category; a scenario's list has its config's
SHORTER: Final = 8  # how much faster the lists forget that show what is rising
SPAN: Final = 64  # half-lives from one landmark to the next
COLDEST: Final = -3 * SPAN  # an event as many half-lives before the landmark, or a score of 2 to that, is nothing


def short_half_life_ms(half_life_ms: int) -> int:
    """The half-life of the short list beside a list of `half_life_ms`."""
    return max(1, half_life_ms // SHORTER)


def landmark_of(name: str, latest: int, half_life_ms: int) -> int:
    """The landmark, in ms, of the list of that name whose last event arrived at `latest`.

    Lists of one half-life move at different times, as their names' hashes say, so that no script moves many.
    """
    span = SPAN * half_life_ms
    shift = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:8], 16) * 1000 % span
    return max(0, latest - (latest + shift) % span)
