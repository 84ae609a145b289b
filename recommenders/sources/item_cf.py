"""Items that go with what the user liked last: sequence-aware item-CF."""

from collections.abc import Sequence

import numpy as np

from recommenders.arrays import BoolArray
from recommenders.candidates import NOTHING, Query, Recalled
from recommenders.catalogue import NO_CATEGORY
from recommenders.item_cf import Recall
from recommenders.mix import quota_of
from recommenders.reasons import Reason
from recommenders.scenes import Scene, SourcePart
from recommenders.stores import Stores


class ItemCFSource:
    """The quota counts items that are not in the user's own history. The reason is the item that spoke most for one."""

    def __init__(self, stores: Stores, settings: SourcePart) -> None:
        self.stores = stores
        self.settings = settings

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        allowed = {scene.name: self._allowed(scene) for scene in {query.scene for query in queries}}
        recalls: dict[str, Recall] = {}  # one a user, for all of the user's scenes
        found = []
        for query in queries:
            recall = recalls.get(query.user_id)
            if recall is None:
                recall = recalls[query.user_id] = self.stores.item_cf.recall(query.history)
            found.append(self._best(query, recall, allowed[query.scene.name]))
        return found

    def _best(self, query: Query, recall: Recall, allowed: BoolArray | None) -> Recalled:
        if not len(recall.candidates):
            return NOTHING
        own, quota = set(query.history), quota_of(self.settings, query.mix)
        items, scores, anchors = recall.best(quota + len(own), allowed)
        unseen = np.array([item not in own for item in items.tolist()], np.bool_)
        keep = unseen.cumsum() <= quota
        subjects, reason_of = np.unique(anchors[keep], return_inverse=True)
        reasons = [self._reason(item) for item in subjects.tolist()]
        return Recalled(items[keep], scores[keep], reasons, reason_of)

    def _reason(self, anchor: int) -> Reason:
        return Reason("liked_item", self.stores.catalogue.title(anchor), self.stores.items.ids[anchor])

    def _allowed(self, scene: Scene) -> BoolArray | None:
        """Items of the scene's categories, and those whose category is not known here: the filter judges them."""
        if not scene.categories:
            return None
        shown = self.stores.catalogue.in_categories(scene.categories)
        shown[NO_CATEGORY] = True
        allowed: BoolArray = shown[self.stores.catalogue.category_codes()]
        return allowed
