"""The weighted sum of recall scores, each source's as a share of its best for the query."""

from collections.abc import Sequence

import numpy as np

from recommenders.arrays import FloatArray
from recommenders.candidates import Candidates, Query


class WeightedScorer:
    """`weights`: (sources,), of the pipeline file, in the order of its sources."""

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = np.array(weights, np.float64)

    async def score(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[FloatArray]:
        return [contributions(each, self.weights).sum(axis=1) for each in candidates]


def contributions(candidates: Candidates, weights: FloatArray) -> FloatArray:
    """(n, sources): what each source adds to each candidate's score; 0 where it did not name it."""
    shares = np.nan_to_num(candidates.recall)
    best = shares.max(axis=0, initial=0.0)
    parts: FloatArray = shares * (weights / np.where(best > 0, best, 1.0))
    return parts
