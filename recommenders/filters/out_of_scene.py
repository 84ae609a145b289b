"""Keeps out what is not of the scene's categories; a scene that names none shows all."""

from collections.abc import Sequence

import numpy as np

from recommenders.arrays import BoolArray
from recommenders.candidates import Candidates, Query
from recommenders.scenes import Part, Scene
from recommenders.stores import Stores


class OutOfScene:
    def __init__(self, stores: Stores, settings: Part) -> None:
        self.catalogue = stores.catalogue

    async def keep(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[BoolArray]:
        return [self._mask(query.scene, each) for query, each in zip(queries, candidates, strict=True)]

    def _mask(self, scene: Scene, candidates: Candidates) -> BoolArray:
        if not scene.categories:
            return np.ones(len(candidates), np.bool_)
        mask: BoolArray = self.catalogue.in_categories(scene.categories)[candidates.features["category"]]
        return mask
