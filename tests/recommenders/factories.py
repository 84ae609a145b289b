"""Plain factories for the recommenders' tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recommenders.candidates import Query, Recalled
from recommenders.mix import RecallMix, Share, SourceWeights
from recommenders.ranked import Ranked, SetName
from recommenders.reasons import Reason
from recommenders.scenes import Scene, SourcePart
from recommenders.stores import Stores
from schemas.event import Event
from schemas.hot import HotRecord
from tests import factories
from tests.factories import NOON

HOME = Scene(name="home", scenarios=("*",))
SLOTS = Scene(name="slots", scenarios=("game",), categories=frozenset({"slots"}))


def make_event(**fields: Any) -> Event:
    """An accepted event; a weight above 0 is a liking unless `positive` says otherwise."""
    return factories.make_event(**({"positive": fields.get("weight", 1.0) > 0} | fields))


def no_mix(tenant: str, scenario: str) -> RecallMix:
    """No scenario says anything of the sources."""
    return {}


def make_mix(**shares: tuple[int, float]) -> RecallMix:
    """source=(quota, weight)."""
    return {source: Share(*share) for source, share in shares.items()}


def make_weights(*weights: float) -> SourceWeights:
    """Of sources s0, s1, ... of a pipeline file."""
    return SourceWeights([SourcePart(part=f"s{n}", quota=10, weight=each) for n, each in enumerate(weights)])


def make_query(**fields: Any) -> Query:
    defaults: dict[str, Any] = {"tenant": "acme", "user_id": "u1", "scene": HOME, "now_ms": NOON}
    return Query(**(defaults | fields))


def make_recalled(items: Sequence[int], scores: Sequence[float] | None = None) -> Recalled:
    """Items best first; their scores fall from 1 unless given."""
    fallen = [1 / (1 + place) for place in range(len(items))] if scores is None else scores
    places = np.zeros(len(items), np.int64)
    return Recalled(np.array(items, np.int64), np.array(fallen, np.float64), (Reason("hot_global"),), places)


def hold(stores: Stores, name: SetName, *item_ids: str, record: HotRecord | None = None) -> None:
    """A ranked set in the stores, best first, shares falling from 1."""
    numbers = [number for item in item_ids if (number := stores.items.number(item)) is not None]
    shares = [1 / (1 + place) for place in range(len(numbers))]
    stores.ranked.put(name, Ranked(np.array(numbers, np.int64), np.array(shares), record=record))
