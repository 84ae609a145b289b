"""The settings of the features: what a scenario says, how long keys live, how much each holds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 24 * 60 * 60 * 1000
MAX_DWELL_MS: Final = DAY_MS  # of one event; more is a broken client clock, and would drown its session
FOLLOWS: Final = "user:follows"
BLOCKS: Final = "user:blocks"
LINKS: Final = {"follow": FOLLOWS, "add_friend": FOLLOWS, "block": BLOCKS}  # action -> kind of the key that takes it


@dataclass(frozen=True, slots=True)
class ScenarioSignals:
    """What a scenario's template says of its sessions and its hot list."""

    session_gap_ms: int
    half_life_ms: int

    def __post_init__(self) -> None:
        if self.session_gap_ms <= 0 or self.half_life_ms <= 0:
            raise ValueError(f"a session gap and a half-life are above 0 ms: {self}")


Signals = Callable[[str, str, str], ScenarioSignals]
"""(tenant, scenario_id, scenario_type) -> its signals."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds that a key outlives its last use; a session that is closed, its closing.

    An open session waits to be closed for `open_s` and its gap: as long as Kafka keeps events, should nobody work.
    """

    session_s: int = 24 * 60 * 60
    open_s: int = 7 * 24 * 60 * 60
    recent_s: int = 90 * 24 * 60 * 60
    seen_s: int = 24 * 60 * 60
    hot_s: int = 30 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each key holds. `seen` ids make a generation of remembered events, of which two are kept.

    With `outbox` summaries that Kafka does not take a partition's sessions stay open.
    `hot` items stand in a hot list; a tenant has those of `hot_categories` categories and `hot_scenarios` scenarios.
    """

    session_items: int = 50
    session_categories: int = 20
    recent: int = 100
    hot: int = 10_000
    hot_categories: int = 1_000
    hot_scenarios: int = 1_000
    seen: int = 200_000
    outbox: int = 10_000


@dataclass(frozen=True, slots=True)
class HeatCap:
    """How much of one user counts in hot lists, in a window of event time.

    On one item `weight`, whatever the number of events; on `items` items, and on no further ones. What was counted in
    a window is forgotten when its first event came in two windows ago.
    """

    weight: float = 10.0
    items: int = 10_000
    window_ms: int = DAY_MS

    def __post_init__(self) -> None:
        if not (0 < self.weight < math.inf and self.items > 0 and self.window_ms >= 1000):
            raise ValueError(f"a cap is above 0, its window at least a second: {self}")
