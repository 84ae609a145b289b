"""How a hot list is written down (docs/redis.md): what the stream writes of it, and what a reader makes of its scores.

Hash `hot:landmarks`: the list's key without its tenant -> `landmark:half_life:latest`, all in ms.
"""

import re
from dataclasses import dataclass
from typing import Final

GLOBAL: Final = "hot:global"
GLOBAL_SHORT: Final = "hot:global_short"
SCENARIO: Final = "hot:scenario"
SCENARIO_SHORT: Final = "hot:scenario_short"
CATEGORY: Final = "hot:category"

_FORM: Final = re.compile(r"(\d{1,16}):(\d{1,16}):(\d{1,16})")


@dataclass(frozen=True, slots=True)
class HotRecord:
    """A score of the list is its item's heat at `landmark`; `latest` is the arrival of the last event counted."""

    landmark: int
    half_life_ms: int
    latest: int

    @classmethod
    def parse(cls, value: bytes | None) -> "HotRecord | None":
        """None for what the stream did not write."""
        found = _FORM.fullmatch((value or b"").decode(errors="replace"))
        if found is None or not int(found[2]):
            return None
        return cls(*map(int, found.groups()))

    def share_left(self, moment: int) -> float:
        """What a score is to be multiplied by to be the heat at `moment`, in ms; before the landmark, 1."""
        return float(2.0 ** (min(0, self.landmark - moment) / self.half_life_ms))
