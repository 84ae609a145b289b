"""The kinds of parts. Each is one method over a batch of queries of one tenant; an online request is a batch of one.

A part answers one entry a query, in the queries' order. It never has to time, count or guard itself: the runner
does. A part may wait (a model server, a store) or compute at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from recommenders.arrays import BoolArray, Column, FloatArray, IntArray
from recommenders.candidates import Candidates, Query, Recalled, Result

P = TypeVar("P")


class QueryHydrator(Protocol):
    """Completes queries. Hydrators run in parallel and each answers fields of Query by name."""

    async def complete(self, queries: Sequence[Query]) -> Sequence[Mapping[str, Any]]: ...


class Source(Protocol):
    """Finds candidates. Sources run in parallel."""

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]: ...


class Hydrator(Protocol):
    """Adds feature columns, each one value a candidate. Hydrators run in parallel."""

    async def hydrate(
        self, queries: Sequence[Query], candidates: Sequence[Candidates]
    ) -> Sequence[Mapping[str, Column]]: ...


class Filter(Protocol):
    """Says by a mask, one value a candidate, which are kept; the others are the removed."""

    async def keep(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[BoolArray]: ...


class Scorer(Protocol):
    """One number a candidate, in the same order; it sees what the scorers before it gave."""

    async def score(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[FloatArray]: ...


class Selector(Protocol):
    """The rows to show, best first. Candidates come best first, those with a non-finite score last."""

    async def select(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[IntArray]: ...


class PostSelection(Protocol):
    """Re-ranks or thins what was selected: the rows to show, best first."""

    async def refine(self, queries: Sequence[Query], selected: Sequence[Candidates]) -> Sequence[IntArray]: ...


class SideEffect(Protocol):
    """Runs after the answer; what it raises is counted and changes nothing."""

    async def run(self, results: Sequence[Result]) -> None: ...


def always(_: Query) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Stage(Generic[P]):
    """A part as it stands in one pipeline. `budget_ms` is for one query; a batch has it once for each."""

    name: str
    part: P
    budget_ms: float = 5.0
    enabled: Callable[[Query], bool] = always


class StageContractError(Exception):
    """A part answered another number of values than it was asked for."""

    def __init__(self, stage: str, expected: int, got: int) -> None:
        super().__init__(f"{stage} answered {got} values for {expected}")
        self.stage = stage
        self.expected = expected
        self.got = got
