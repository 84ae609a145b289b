"""What the pipeline needs of the catalogue, as columns by item number, renewed from the mirror in Redis.

An item that the mirror does not have is active, named by its id, and has the category its events named, if any.
"""

from array import array
from typing import Any, Final

import numpy as np
from redis.asyncio import Redis

from recommenders.arrays import BoolArray, IntArray
from recommenders.vocabulary import Vocabulary
from schemas.keys import KeySpace

NO_CATEGORY: Final = 0
FIELDS: Final = ("name", "category", "is_active")


class Catalogue:
    """Names, categories (as codes) and activity of a tenant's items; each is read again after `ttl_ms`."""

    def __init__(self, items: Vocabulary, *, ttl_ms: int = 10_000, batch: int = 1_000) -> None:
        self.items = items
        self.ttl_ms = ttl_ms
        self.batch = batch
        self.categories: list[str] = [""]
        self._codes: dict[str, int] = {"": NO_CATEGORY}
        self._names: list[str] = []
        self._category_of = array("q")
        self._active = bytearray()
        self._read_at = array("q")  # ms; 0: never

    def title(self, item: int) -> str:
        return (self._names[item] if item < len(self._names) else "") or self.items.ids[item]

    def category(self, item: int) -> str:
        """The item's category, "" where it is not known."""
        return self.categories[self._category_of[item]] if item < len(self._category_of) else ""

    def note_category(self, item: int, category: str) -> None:
        """An event named the item's category; what the mirror says replaces it at the next reading."""
        self._grow()
        if self._category_of[item] == NO_CATEGORY:
            self._category_of[item] = self._code(category)

    def category_codes(self) -> IntArray:
        """(items,) of category codes, `NO_CATEGORY` where unknown. A view: not to be kept over a change."""
        self._grow()
        return np.frombuffer(self._category_of, np.int64) if self._category_of else np.empty(0, np.int64)

    def active(self) -> BoolArray:
        """(items,) whether the item may be shown. A view: not to be kept over a change."""
        self._grow()
        return np.frombuffer(self._active, np.bool_)

    def in_categories(self, names: frozenset[str]) -> BoolArray:
        """(categories,) by code, whether the category is one of `names`."""
        return np.array([name in names for name in self.categories])

    async def refresh(self, redis: Redis, keys: KeySpace, now_ms: int) -> None:
        """Read the items never read, and those read longest ago, at most `batch` in one round trip."""
        due = self._due(now_ms)
        if not due:
            return
        async with redis.pipeline(transaction=False) as pipe:
            for item in due:
                pipe.hmget(keys.key("item", self.items.ids[item]), *FIELDS)
            rows: list[list[Any]] = await pipe.execute()
        for item, (name, category, is_active) in zip(due, rows, strict=True):
            self._read_at[item] = now_ms
            self._names[item] = name.decode() if name else ""
            self._active[item] = is_active != b"0"
            if category:
                self._category_of[item] = self._code(category.decode())

    def _due(self, now_ms: int) -> list[int]:
        self._grow()
        if not self._read_at:
            return []
        read_at = np.frombuffer(self._read_at, np.int64)
        due = np.flatnonzero(read_at <= now_ms - self.ttl_ms)
        if len(due) > self.batch:
            due = due[np.argpartition(read_at[due], self.batch)[: self.batch]]
        return [int(item) for item in due]

    def _code(self, category: str) -> int:
        code = self._codes.get(category)
        if code is None:
            code = self._codes[category] = len(self.categories)
            self.categories.append(category)
        return code

    def _grow(self) -> None:
        missing = len(self.items) - len(self._names)
        if missing > 0:
            self._names.extend([""] * missing)
            self._category_of.extend([NO_CATEGORY] * missing)
            self._active.extend(b"\1" * missing)
            self._read_at.extend([0] * missing)
