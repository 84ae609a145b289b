"""What one tenant's parts draw on, in memory. No part can reach another tenant's."""

from collections.abc import Iterable
from dataclasses import dataclass

from redis.asyncio import Redis

from recommenders.candidates import Query
from recommenders.catalogue import Catalogue
from recommenders.item_cf import ItemCF, ItemCFSettings
from recommenders.ranked import RankedSets, SetName
from recommenders.vocabulary import Vocabulary
from schemas.keys import KeySpace

NEW_ITEMS: SetName = ("items:new",)
HOT_GLOBAL: SetName = ("hot:global",)
RECENT_CATEGORIES = 2  # of how many of a user's last items the categories count


@dataclass(frozen=True, slots=True)
class Stores:
    """The shared state of a tenant's parts; `refresh` renews what comes from Redis before a batch is run."""

    items: Vocabulary
    item_cf: ItemCF
    catalogue: Catalogue
    ranked: RankedSets

    @classmethod
    def empty(cls, *, max_items: int = 200_000, item_cf: ItemCFSettings | None = None) -> "Stores":
        items = Vocabulary(max_items)
        return cls(items, ItemCF(item_cf), Catalogue(items), RankedSets(items))

    def hot_sets(self, query: Query) -> tuple[SetName, ...]:
        """The hot lists that speak for a query: of its scenario, its categories, and the whole tenant."""
        if query.scene.categories:
            return tuple(("hot:category", name) for name in sorted(query.scene.categories))
        recent = dict.fromkeys(map(self.catalogue.category, query.history[-RECENT_CATEGORIES:]))
        categories = tuple(("hot:category", name) for name in recent if name)
        scenario = (("hot:scenario", query.scenario),) if query.scenario else ()
        return (*scenario, *categories, HOT_GLOBAL)

    async def refresh(self, redis: Redis, keys: KeySpace, queries: Iterable[Query], now_ms: int) -> None:
        """Raises redis.exceptions.ConnectionError or TimeoutError while Redis is away; nothing is changed then."""
        names = {name for query in queries for name in self.hot_sets(query)}
        await self.ranked.refresh(redis, keys, [NEW_ITEMS, *names], now_ms)
        await self.catalogue.refresh(redis, keys, now_ms)
