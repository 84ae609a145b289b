"""The newest items of the catalogue. Each user starts at another place, so that each new item is shown to someone."""

import zlib
from collections.abc import Sequence

import numpy as np

from recommenders.candidates import NOTHING, Query, Recalled
from recommenders.mix import quota_of
from recommenders.reasons import Reason
from recommenders.scenes import SourcePart
from recommenders.stores import NEW_ITEMS, Stores


class NewItemsSource:
    """The quota's items out of the newest that fit the scene, scored by their place from the user's start on."""

    def __init__(self, stores: Stores, settings: SourcePart) -> None:
        self.stores = stores
        self.settings = settings

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        newest = self.stores.ranked.get(NEW_ITEMS).items
        return [self._of(query, newest) for query in queries]

    def _of(self, query: Query, newest: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Recalled:
        if query.scene.categories:
            catalogue = self.stores.catalogue
            newest = newest[catalogue.in_categories(query.scene.categories)[catalogue.category_codes()[newest]]]
        if not len(newest):
            return NOTHING
        start = zlib.crc32(query.user_id.encode()) % len(newest)
        items = np.roll(newest, -start)[: quota_of(self.settings, query.mix)]
        scores = 1 / (1 + np.arange(len(items)))
        return Recalled(items, scores, (Reason("new_item"),), np.zeros(len(items), np.int64))
