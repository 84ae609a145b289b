"""Ranked sets of a tenant (hot lists, new items) as arrays, read from Redis at most once a second each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from redis.asyncio import Redis

from recommenders.arrays import FloatArray, IntArray
from recommenders.hot_lists import field_of
from recommenders.vocabulary import Vocabulary
from schemas.hot import HotRecord
from schemas.keys import KeySpace

MAX_SETS: Final = 1_000

SetName = tuple[str, ...]  # kind and ids of a key: ("hot:category", "slots")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Items (n,), best first, with scores (n,) as shares of the best one's: 0 to 1. `record`: of a hot list."""

    items: IntArray
    scores: FloatArray
    read_at: int = 0
    record: HotRecord | None = None


NO_ITEMS: Final = Ranked(np.empty(0, np.int64), np.empty(0))


class RankedSets:
    """The sets asked for, by name; one not read yet is empty."""

    def __init__(self, items: Vocabulary, *, ttl_ms: int = 1_000, size: int = 200) -> None:
        self.items = items
        self.ttl_ms = ttl_ms
        self.size = size
        self.version = 0  # moves with each reading, so that what was made of the sets can be kept till then
        self._sets: dict[SetName, Ranked] = {}

    def get(self, name: SetName) -> Ranked:
        return self._sets.get(name, NO_ITEMS)

    def put(self, name: SetName, ranked: Ranked) -> None:
        """Hold a set; beyond `MAX_SETS` the one put longest ago is forgotten."""
        self._sets.pop(name, None)
        self._sets[name] = ranked
        if len(self._sets) > MAX_SETS:
            del self._sets[next(iter(self._sets))]
        self.version += 1

    async def refresh(self, redis: Redis, keys: KeySpace, names: Iterable[SetName], now_ms: int) -> None:
        """Read those of `names` that are older than the time to live, in one round trip."""
        due = [name for name in dict.fromkeys(names) if self._is_due(name, now_ms)]
        if not due:
            return
        async with redis.pipeline(transaction=False) as pipe:
            for name in due:
                pipe.zrevrange(keys.key(*name), 0, self.size - 1, withscores=True)
            pipe.hmget(keys.key("hot:landmarks"), [field_of(keys, name) for name in due])
            *answers, records = await pipe.execute()
        for name, rows, record in zip(due, answers, records, strict=True):
            self.put(name, self._ranked(rows, now_ms, HotRecord.parse(record)))

    def _is_due(self, name: SetName, now_ms: int) -> bool:
        held = self._sets.get(name)
        return held is None or held.read_at <= now_ms - self.ttl_ms

    def _ranked(self, rows: list[tuple[Any, float]], now_ms: int, record: HotRecord | None) -> Ranked:
        known = [(number, score) for item, score in rows if (number := self.items.number(item.decode())) is not None]
        if not known:
            return Ranked(NO_ITEMS.items, NO_ITEMS.scores, now_ms, record)
        best = known[0][1]
        return Ranked(
            np.array([item for item, _ in known], np.int64),
            np.array([score / best if best > 0 else 0.0 for _, score in known]),
            now_ms,
            record,
        )
