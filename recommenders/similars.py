"""Writes `game:sim:{item}` for items whose neighbours changed: each at most once a minute, a few at a time.

Promise: a hash is replaced whole, in one MULTI; what could not be written stays in the queue.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from redis.asyncio import Redis

from recommenders.stores import Stores
from schemas.keys import KeySpace

NEIGHBOURS: Final = 50


class SimilarWriter:
    """One tenant's queue of changed items, in the order in which they changed."""

    def __init__(
        self, keys: KeySpace, stores: Stores, *, interval_ms: int = 60_000, batch: int = 32, ttl_s: int = 604_800
    ) -> None:
        self.keys = keys
        self.stores = stores
        self.interval_ms = interval_ms
        self.batch = batch
        self.ttl_s = ttl_s
        self._changed: dict[int, None] = {}
        self._written_at: dict[int, int] = {}

    def changed(self, items: Iterable[int]) -> None:
        for item in items:
            self._changed[item] = None

    async def write_due(self, redis: Redis, now_ms: int) -> int:
        """Write up to `batch` hashes that may be written again; how many were."""
        due = self._due(now_ms)
        if due:
            async with redis.pipeline(transaction=True) as pipe:
                for item in due:
                    key = self.keys.key("game:sim", self.stores.items.ids[item])
                    pipe.delete(key)
                    similar = self.stores.item_cf.similar(item, NEIGHBOURS)
                    if similar:
                        names = self.stores.items.ids
                        pipe.hset(key, mapping={names[other]: f"{score:.6g}" for other, score in similar})
                        pipe.expire(key, self.ttl_s)
                await pipe.execute()
        for item in due:
            self._changed.pop(item, None)
            self._written_at[item] = now_ms
        return len(due)

    def _due(self, now_ms: int) -> list[int]:
        """Looks at a few items only; those that must wait go to the end of the queue."""
        due: list[int] = []
        for item in list(islice(self._changed, 4 * self.batch)):
            if self._written_at.get(item, 0) > now_ms - self.interval_ms:
                del self._changed[item]
                self._changed[item] = None
            elif len(due) < self.batch:
                due.append(item)
        return due
