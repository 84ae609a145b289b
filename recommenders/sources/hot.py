"""What is popular now: in the scenario, in the scene's or the user's categories, in the whole tenant."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from recommenders.candidates import NOTHING, Query, Recalled
from recommenders.hot_lists import warmths
from recommenders.item_cf import best_first
from recommenders.mix import quota_of
from recommenders.ranked import SetName
from recommenders.reasons import Reason
from recommenders.scenes import SourcePart
from recommenders.stores import Stores

WEIGHTS: Final = {"hot:scenario": 1.0, "hot:category": 1.0, "hot:global": 0.5}


class HotSource:
    """An item's score is the weighted sum of its shares in the lists; the reason, the list that gave most.

    Shares of the best, so that a small category stands beside a large one; by the list's warmth, so that one in which
    nothing has happened for days does not.
    """

    def __init__(self, stores: Stores, settings: SourcePart) -> None:
        self.stores = stores
        self.settings = settings
        self._blends: dict[tuple[tuple[SetName, ...], int], Recalled] = {}  # by lists and quota
        self._version = -1

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        if self._version != self.stores.ranked.version:
            self._version = self.stores.ranked.version
            self._blends.clear()
        return [self._blend(self.stores.hot_sets(query), quota_of(self.settings, query.mix)) for query in queries]

    def _blend(self, names: tuple[SetName, ...], quota: int) -> Recalled:
        blend = self._blends.get((names, quota))
        if blend is None:
            blend = self._blends[names, quota] = self._blended(names, quota)
        return blend

    def _blended(self, names: tuple[SetName, ...], quota: int) -> Recalled:
        sets = [self.stores.ranked.get(name) for name in names]
        items = np.unique(np.concatenate([each.items for each in sets]))
        if not len(items):
            return NOTHING
        shares = np.zeros((len(names), len(items)))
        warmth = warmths([each.record for each in sets])
        for row, (name, each) in enumerate(zip(names, sets, strict=True)):
            shares[row, np.searchsorted(items, each.items)] = WEIGHTS[name[0]] * warmth[row] * each.scores
        scores = shares.sum(axis=0)
        top = best_first(scores, quota)
        reasons = [
            Reason(kind.replace(":", "_"), "".join(ids) if kind == "hot:category" else "") for kind, *ids in names
        ]
        return Recalled(items[top], scores[top], reasons, shares.argmax(axis=0)[top])
