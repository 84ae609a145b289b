"""The weighted sum of recall scores, each source's as a share of its best for the query."""

from collections.abc import Sequence

import numpy as np

from recommenders.arrays import FloatArray
from recommenders.candidates import Candidates, Query
from recommenders.mix import SourceWeights


class WeightedScorer:
    """The weights are those of each query's mix, else of the pipeline file."""

    def __init__(self, weights: SourceWeights) -> None:
        self.weights = weights

    async def score(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[FloatArray]:
        return [
            contributions(each, self.weights.under(query.mix)).sum(axis=1)
            for query, each in zip(queries, candidates, strict=True)
        ]


def contributions(candidates: Candidates, weights: FloatArray) -> FloatArray:
    """(n, sources): what each source adds to each candidate's score; 0 where it did not name it.

    `weights`: (sources,).
    """
    shares = np.nan_to_num(candidates.recall)
    best = shares.max(axis=0, initial=0.0)
    parts: FloatArray = shares * (weights / np.where(best > 0, best, 1.0))
    return parts
