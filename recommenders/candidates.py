"""What flows through the candidate pipeline: queries, recalled items, candidates and the result.

Candidates are columns of one length, an item a row, so that a part works on all of a query's candidates at once.
Items are numbers of the tenant's vocabulary. All of these are frozen, their arrays too.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from recommenders.arrays import Column, FloatArray, IntArray
from recommenders.mix import RecallMix
from recommenders.reasons import Reason
from recommenders.scenes import Scene


@dataclass(frozen=True, slots=True)
class Query:
    """A list is wanted for this user and scene.

    `scenario`: whose event asks for it; `history`: liked items, newest last; `seen`: not to be shown; `mix`: what the
    scenario says of the sources.
    """

    tenant: str
    user_id: str
    scene: Scene
    now_ms: int
    scenario: str = ""
    history: Sequence[int] = ()
    seen: Set[int] = frozenset()
    mix: RecallMix = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a source found for one query, best first: items (n,), scores (n,) of its own scale, higher is better.

    `reasons[reason_of[row]]` says why the row's item was found.
    """

    items: IntArray
    scores: FloatArray
    reasons: Sequence[Reason]
    reason_of: IntArray


NOTHING = Recalled(np.empty(0, np.int64), np.empty(0), (), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one query, n rows.

    `recall` (n, sources): each source's score, NaN where it did not name the item. `reason_of` (n, sources): row of
    the source's reasons, -1 likewise. `scores` (n,): NaN until a scorer gave them. `features`: columns (n,) that
    hydrators added; an unknown one is absent.
    """

    items: IntArray
    recall: FloatArray
    reason_of: IntArray
    scores: FloatArray
    features: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in (self.items, self.recall, self.reason_of, self.scores, *self.features.values()):
            column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Column) -> "Candidates":
        """These rows, by number in that order, or by a mask."""
        features = {name: column[rows] for name, column in self.features.items()}
        return Candidates(self.items[rows], self.recall[rows], self.reason_of[rows], self.scores[rows], features)

    def with_scores(self, scores: FloatArray) -> "Candidates":
        return replace(self, scores=scores)

    def with_features(self, features: Mapping[str, Column]) -> "Candidates":
        return replace(self, features={**self.features, **features})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part that gave nothing to a result. `why`: failed, over_budget or contract."""

    part: str
    why: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What the pipeline made of one query, and how. `filtered`: filter -> the items (k,) it removed.

    `reasons`: per source, the table that `Candidates.reason_of` points into.
    """

    query: Query
    sources: tuple[str, ...]
    reasons: tuple[Sequence[Reason], ...]
    retrieved: Candidates
    filtered: Mapping[str, IntArray]
    scored: Candidates
    selected: Candidates
    left_out: tuple[LeftOut, ...]


def merge(found: Sequence[Recalled]) -> Candidates:
    """One row an item, in the order in which the sources named them first; every source that named it is kept."""
    named = np.concatenate([part.items for part in found]) if found else np.empty(0, np.int64)
    items, first, row_of = np.unique(named, return_index=True, return_inverse=True)
    order = np.argsort(first)
    row_of = np.argsort(order)[row_of]
    recall = np.full((len(items), len(found)), np.nan)
    reason_of = np.full((len(items), len(found)), -1)
    start = 0
    for source, part in enumerate(found):
        rows = row_of[start : start + len(part.items)]
        recall[rows, source] = part.scores
        reason_of[rows, source] = part.reason_of
        start += len(part.items)
    return Candidates(items[order], recall, reason_of, np.full(len(items), np.nan))
