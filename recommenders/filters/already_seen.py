"""Keeps out what the user has already liked, played or bought, or has turned down."""

from collections.abc import Sequence

import numpy as np

from recommenders.arrays import BoolArray
from recommenders.candidates import Candidates, Query
from recommenders.scenes import Part
from recommenders.stores import Stores


class AlreadySeen:
    def __init__(self, stores: Stores, settings: Part) -> None:
        pass

    async def keep(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[BoolArray]:
        return [
            np.array([item not in query.seen for item in each.items.tolist()], np.bool_)
            for query, each in zip(queries, candidates, strict=True)
        ]
