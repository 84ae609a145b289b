"""Keeps out what the catalogue says is not active."""

from collections.abc import Sequence

from recommenders.arrays import BoolArray
from recommenders.candidates import Candidates, Query
from recommenders.scenes import Part
from recommenders.stores import Stores


class Inactive:
    def __init__(self, stores: Stores, settings: Part) -> None:
        pass

    async def keep(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[BoolArray]:
        return [each.features["active"].astype(bool) for each in candidates]
