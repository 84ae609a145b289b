"""Sequence-aware item-to-item collaborative filtering, as sums over pairs kept up to date event by event.

Definition, which `reference_sums` recomputes from the whole log and a property test holds the increments to:
a user's window is their last `window` distinct items, the one touched last at the end. When a user touches an item
that is not in their window, then for each item of the window at distance d (1: the newest) the pair

    window item -> item   gains  1             * d^-distance_power / ln(2 + length)
    item -> window item   gains  against_order * d^-distance_power / ln(2 + length)

where `length` is the number of items in the window, the new one included: of that moment, never revised later.
An item that is in the window moves to its end and adds nothing. A neighbour's score is
pair / rowsum^row_power / columnsum^column_power; recall sums it over the last `recall_items` items of the history,
each with age_decay^age (age 0: the newest).

Sums never shrink with time. A row over 2 * `max_neighbours` is cut to its `max_neighbours` heaviest pairs, while its
row and column sums keep what was cut, so pruning alone makes the increments differ from the definition.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recommenders.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class ItemCFSettings:
    """The constants of the definition above, and the bound on neighbours kept an item."""

    window: int = 50
    distance_power: float = 0.7
    against_order: float = 0.2
    row_power: float = 0.5
    column_power: float = 0.1
    recall_items: int = 20
    age_decay: float = 0.6
    max_neighbours: int = 200

    def pair_weights(self, count: int) -> list[float]:
        """Of the pairs of a new item with `count` window items, newest first."""
        damping = 1 / math.log(2 + count + 1)
        return [d**-self.distance_power * damping for d in range(1, count + 1)]


class ItemCF:
    """The pair sums of one tenant. Items are numbers from 0, given in any order, without large gaps."""

    def __init__(self, settings: ItemCFSettings | None = None) -> None:
        self.settings = settings or ItemCFSettings()
        self.rows: list[dict[int, float]] = []  # rows[a][b]: the sum of the pair a -> b
        self.row_sums = array("d")
        self.column_sums = array("d")
        self._row_limit = 2 * self.settings.max_neighbours
        self._weights = [self.settings.pair_weights(count) for count in range(self.settings.window + 1)]
        self._arrays: dict[int, tuple[IntArray, FloatArray]] = {}  # a row's items and sums, until it changes
        self._stale: set[int] = set()

    def learn(self, window: Sequence[int], item: int) -> None:
        """A user touched `item` after `window` (oldest first, at most `settings.window` items, `item` not in it)."""
        self._grow(max(item, *window) if window else item)
        rows, row_sums, column_sums = self.rows, self.row_sums, self.column_sums
        row, weights, against = rows[item], self._weights[len(window)], self.settings.against_order
        for other, weight in zip(reversed(window), weights, strict=True):
            back = weight * against
            row_of_other = rows[other]
            row_of_other[item] = row_of_other.get(item, 0.0) + weight
            if len(row_of_other) > self._row_limit:
                self._prune(other)
            row[other] = row.get(other, 0.0) + back
            row_sums[other] += weight
            column_sums[other] += back
        total = sum(weights)
        row_sums[item] += total * against
        column_sums[item] += total
        self._stale.update(window)
        self._stale.add(item)
        if len(row) > self._row_limit:
            self._prune(item)

    def recall(self, history: Sequence[int]) -> "Recall":
        """What the history (oldest first) speaks for; `Recall.best` ranks it."""
        return Recall(self, [item for item in history[-self.settings.recall_items :] if item < len(self.rows)])

    def row(self, item: int) -> tuple[IntArray, FloatArray]:
        """The item's neighbours and their sums, (n,) and (n,)."""
        if item in self._stale or item not in self._arrays:
            self._stale.discard(item)
            row = self.rows[item]
            self._arrays[item] = (
                np.fromiter(row.keys(), np.int64, len(row)),
                np.fromiter(row.values(), np.float64, len(row)),
            )
        return self._arrays[item]

    def similar(self, item: int, limit: int) -> list[tuple[int, float]]:
        """The item's neighbours with their scores, best first."""
        items, scores, _ = self.recall([item]).best(limit)
        return list(zip(items.tolist(), scores.tolist(), strict=True))

    def _prune(self, item: int) -> None:
        heaviest = sorted(self.rows[item].items(), key=lambda pair: -pair[1])
        self.rows[item] = dict(heaviest[: self.settings.max_neighbours])

    def _grow(self, item: int) -> None:
        missing = item + 1 - len(self.rows)
        if missing > 0:
            self.rows.extend({} for _ in range(missing))
            self.row_sums.extend([0.0] * missing)
            self.column_sums.extend([0.0] * missing)


class Recall:
    """The candidates of one history: computed once, ranked for as many scenes as are asked for."""

    def __init__(self, item_cf: ItemCF, history: list[int]) -> None:
        settings = item_cf.settings
        rows = [item_cf.row(item) for item in history]
        ages = range(len(history) - 1, -1, -1)
        factors = [
            settings.age_decay**age * max(item_cf.row_sums[item], 1e-12) ** -settings.row_power
            for item, age in zip(history, ages, strict=True)
        ]
        empty = np.empty(0, np.int64)
        self.history = np.array(history, np.int64)
        self._items: IntArray = np.concatenate([items for items, _ in rows]) if rows else empty
        sums = np.concatenate([sums for _, sums in rows]) if rows else empty.astype(np.float64)
        self._places = np.repeat(np.arange(len(rows)), [len(items) for items, _ in rows])
        self._parts: FloatArray = sums * np.array(factors, np.float64)[self._places]
        totals = np.bincount(self._items, self._parts, minlength=len(item_cf.rows))
        self.candidates = np.flatnonzero(totals)
        columns: FloatArray = np.frombuffer(item_cf.column_sums) if rows else np.empty(0)
        self.scores: FloatArray = totals[self.candidates] * columns[self.candidates] ** -settings.column_power

    def best(self, limit: int, allowed: BoolArray | None = None) -> tuple[IntArray, FloatArray, IntArray]:
        """The `limit` best items, their scores, and for each the history item that spoke most for it.

        `allowed`: (items,) by item number, shorter ones allow nothing beyond; None allows every item.
        """
        items, scores = self.candidates, self.scores
        if allowed is not None:
            inside = items < len(allowed)
            inside[inside] = allowed[items[inside]]
            items, scores = items[inside], scores[inside]
        top = best_first(scores, limit)
        return items[top], scores[top], self._anchors(items[top])

    def _anchors(self, items: IntArray) -> IntArray:
        if not len(items):
            return items
        rank = np.full(int(self._items.max()) + 1, -1)
        rank[items] = np.arange(len(items))
        ranks = rank[self._items]
        chosen = ranks >= 0
        parts = np.zeros((len(self.history), len(items)))
        parts[self._places[chosen], ranks[chosen]] = self._parts[chosen]
        anchors: IntArray = self.history[parts.argmax(axis=0)]
        return anchors


def best_first(scores: FloatArray, limit: int) -> IntArray:
    """Places of the `limit` highest scores, highest first; equal ones in their order."""
    if len(scores) > 2 * limit:
        floor = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        places = np.flatnonzero(scores >= floor)
        return places[np.argsort(-scores[places], kind="stable")][:limit]
    return np.argsort(-scores, kind="stable")[:limit]


def reference_sums(log: Iterable[tuple[str, int]], settings: ItemCFSettings) -> dict[tuple[int, int], float]:
    """The pair sums of a log of (user, item) in order, by the definition, slowly and without pruning."""
    touched: dict[str, list[int]] = {}
    sums: dict[tuple[int, int], float] = {}
    for user, item in log:
        earlier = touched.setdefault(user, [])
        distinct = list(dict.fromkeys(reversed(earlier)))[: settings.window]  # newest first
        if item not in distinct:
            for d, other in enumerate(distinct, start=1):
                weight = d**-settings.distance_power / math.log(2 + len(distinct) + 1)
                sums[other, item] = sums.get((other, item), 0.0) + weight
                sums[item, other] = sums.get((item, other), 0.0) + settings.against_order * weight
        earlier.append(item)
    return sums
