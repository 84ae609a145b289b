"""The candidates' category (code) and activity, out of the catalogue held in memory."""

from collections.abc import Mapping, Sequence

from recommenders.arrays import Column
from recommenders.candidates import Candidates, Query
from recommenders.scenes import Part
from recommenders.stores import Stores


class CatalogueHydrator:
    """Columns `category` (int64, NO_CATEGORY where unknown) and `active` (bool)."""

    def __init__(self, stores: Stores, settings: Part) -> None:
        self.catalogue = stores.catalogue

    async def hydrate(
        self, queries: Sequence[Query], candidates: Sequence[Candidates]
    ) -> Sequence[Mapping[str, Column]]:
        codes, active = self.catalogue.category_codes(), self.catalogue.active()
        return [{"category": codes[each.items], "active": active[each.items]} for each in candidates]
