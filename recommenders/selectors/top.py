"""The best candidates, with places at which a source's best one is sure to be shown."""

from collections.abc import Mapping, Sequence

import numpy as np

from recommenders.arrays import IntArray
from recommenders.candidates import Candidates, Query


class Top:
    """Keeps `size`. `slots`: column of the source in `Candidates.recall` -> places, from 0."""

    def __init__(self, size: int, slots: Mapping[int, Sequence[int]]) -> None:
        self.size = size
        self.slots = slots

    async def select(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[IntArray]:
        return [self._rows(each) for each in candidates]

    def _rows(self, candidates: Candidates) -> IntArray:
        rows = np.arange(len(candidates))
        for source, places in self.slots.items():
            for place in sorted(places):
                rows = self._guarantee(rows, ~np.isnan(candidates.recall[rows, source]), place)
        return rows[: self.size]

    def _guarantee(self, rows: IntArray, named: np.ndarray[tuple[int], np.dtype[np.bool_]], place: int) -> IntArray:
        """Move the first row of the source that stands behind `place` there, unless one stands there already."""
        behind = np.flatnonzero(named[place:])
        if not len(behind) or behind[0] == 0:
            return rows
        source_place = place + int(behind[0])
        return np.concatenate(
            (rows[:place], rows[source_place : source_place + 1], rows[place:source_place], rows[source_place + 1 :])
        )
