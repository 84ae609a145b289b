"""Runs a pipeline's parts over a batch of queries of one tenant.

Query hydrators and sources in parallel -> merge -> hydrators in parallel -> filters in order -> scorers in order
-> selector -> post-selection; side effects on request, after the answer. A part that fails, answers the wrong number
of values or runs over its budget is left out, counted, and named in the results of the queries it was for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import structlog

from recommenders.arrays import FloatArray, IntArray
from recommenders.candidates import NOTHING, Candidates, LeftOut, Query, Recalled, Result, merge
from recommenders.stages import (
    Filter,
    Hydrator,
    PostSelection,
    QueryHydrator,
    Scorer,
    Selector,
    SideEffect,
    Source,
    Stage,
    StageContractError,
)
from schemas.metrics import REC_RECALLED, STAGE_FAILURES, STAGE_SECONDS

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stages:
    """The parts of a pipeline, in their order."""

    sources: Sequence[Stage[Source]]
    selector: Stage[Selector]
    query_hydrators: Sequence[Stage[QueryHydrator]] = ()
    hydrators: Sequence[Stage[Hydrator]] = ()
    filters: Sequence[Stage[Filter]] = ()
    scorers: Sequence[Stage[Scorer]] = ()
    post_selection: Sequence[Stage[PostSelection]] = ()
    side_effects: Sequence[Stage[SideEffect]] = ()


@dataclass(slots=True)
class _Run:
    """A batch under way. Lists have one entry a query; only the runner writes them."""

    queries: list[Query]
    found: list[list[Recalled]] = field(default_factory=list)
    candidates: list[Candidates] = field(default_factory=list)
    retrieved: list[Candidates] = field(default_factory=list)
    scored: list[Candidates] = field(default_factory=list)
    filtered: list[dict[str, IntArray]] = field(default_factory=list)
    left_out: list[list[LeftOut]] = field(default_factory=list)


class Runner:
    """`patience` multiplies every budget: a worker for which nobody waits allows its parts more."""

    def __init__(self, stages: Stages, *, patience: float = 1.0) -> None:
        self.stages = stages
        self.patience = patience
        self._source_names = tuple(stage.name for stage in stages.sources)

    async def run(self, queries: Sequence[Query]) -> list[Result]:
        """One result a query, in their order."""
        run = _Run(list(queries), left_out=[[] for _ in queries], filtered=[{} for _ in queries])
        await self._hydrate_queries(run)
        await self._recall(run)
        await self._hydrate(run)
        for stage in self.stages.filters:
            await self._filter(run, stage)
        for scorer in self.stages.scorers:
            await self._score(run, scorer)
        run.scored = [each.take(_best_first(each.scores)) for each in run.candidates]
        selected = await self._select(run)
        return [
            Result(
                query=query,
                sources=self._source_names,
                reasons=tuple(part.reasons for part in run.found[row]),
                retrieved=run.retrieved[row],
                filtered=run.filtered[row],
                scored=run.scored[row],
                selected=selected[row],
                left_out=tuple(run.left_out[row]),
            )
            for row, query in enumerate(run.queries)
        ]

    async def run_side_effects(self, results: Sequence[Result]) -> None:
        """To be called once the answer is out."""
        run = _Run([result.query for result in results], left_out=[[] for _ in results])
        for stage in self.stages.side_effects:

            async def effect(rows: list[int], part: SideEffect = stage.part) -> list[None]:
                await part.run([results[row] for row in rows])
                return [None] * len(rows)

            await self._call(run, stage, effect)

    async def _hydrate_queries(self, run: _Run) -> None:
        async def one(stage: Stage[QueryHydrator]) -> dict[int, Mapping[str, Any]]:
            return await self._call(run, stage, lambda rows: stage.part.complete(_pick(run.queries, rows)))

        for answers in await _together([one(stage) for stage in self.stages.query_hydrators]):
            for row, fields in answers.items():
                run.queries[row] = replace(run.queries[row], **fields)

    async def _recall(self, run: _Run) -> None:
        async def one(stage: Stage[Source]) -> dict[int, Recalled]:
            found = await self._call(run, stage, lambda rows: stage.part.recall(_pick(run.queries, rows)))
            count = REC_RECALLED.labels(stage.name)
            for recalled in found.values():
                count.observe(len(recalled.items))
            return found

        answers = await _together([one(stage) for stage in self.stages.sources])
        run.found = [[answer.get(row, NOTHING) for answer in answers] for row in range(len(run.queries))]
        run.candidates = [merge(found) for found in run.found]

    async def _hydrate(self, run: _Run) -> None:
        async def one(stage: Stage[Hydrator]) -> dict[int, Mapping[str, Any]]:
            return await self._call(
                run,
                stage,
                lambda rows: stage.part.hydrate(_pick(run.queries, rows), _pick(run.candidates, rows)),
                lengths=lambda row, columns: [(len(run.candidates[row]), len(each)) for each in columns.values()],
            )

        for answers in await _together([one(stage) for stage in self.stages.hydrators]):
            for row, columns in answers.items():
                run.candidates[row] = run.candidates[row].with_features(columns)
        run.retrieved = list(run.candidates)

    async def _filter(self, run: _Run, stage: Stage[Filter]) -> None:
        masks = await self._call(
            run,
            stage,
            lambda rows: stage.part.keep(_pick(run.queries, rows), _pick(run.candidates, rows)),
            lengths=lambda row, mask: [(len(run.candidates[row]), len(mask))],
        )
        for row, mask in masks.items():
            if not mask.all():
                before = run.candidates[row]
                run.filtered[row][stage.name] = before.items[~mask]
                run.candidates[row] = before.take(mask)

    async def _score(self, run: _Run, stage: Stage[Scorer]) -> None:
        scores = await self._call(
            run,
            stage,
            lambda rows: stage.part.score(_pick(run.queries, rows), _pick(run.candidates, rows)),
            lengths=lambda row, column: [(len(run.candidates[row]), len(column))],
        )
        for row, column in scores.items():
            run.candidates[row] = run.candidates[row].with_scores(column)

    async def _select(self, run: _Run) -> list[Candidates]:
        stage = self.stages.selector
        chosen = await self._call(
            run, stage, lambda rows: stage.part.select(_pick(run.queries, rows), _pick(run.scored, rows))
        )
        # Without its selector a pipeline still answers: all candidates, best first.
        selected = [each.take(chosen[row]) if row in chosen else each for row, each in enumerate(run.scored)]
        for post in self.stages.post_selection:
            await self._refine(run, post, selected)
        return selected

    async def _refine(self, run: _Run, stage: Stage[PostSelection], selected: list[Candidates]) -> None:
        chosen = await self._call(
            run, stage, lambda rows: stage.part.refine(_pick(run.queries, rows), _pick(selected, rows))
        )
        for row, places in chosen.items():
            selected[row] = selected[row].take(places)

    async def _call(
        self,
        run: _Run,
        stage: Stage[Any],
        call: Callable[[list[int]], Awaitable[Sequence[T]]],
        lengths: Callable[[int, T], list[tuple[int, int]]] | None = None,
    ) -> dict[int, T]:
        """What the part answers, by query; empty where it is off or left out.

        `lengths`: pairs of a length expected and the length got, for one query's answer.
        """
        rows = [row for row, query in enumerate(run.queries) if stage.enabled(query)]
        if not rows:
            return {}
        budget_s = stage.budget_ms * self.patience * len(rows) / 1000
        start = time.perf_counter()
        try:
            async with asyncio.timeout(budget_s):
                answers = await call(rows)
            if time.perf_counter() - start > budget_s:  # it never gave way, so the timeout could not cut it off
                raise TimeoutError
            _check(stage.name, len(rows), len(answers))
            for row, answer in zip(rows, answers, strict=True):
                for expected, got in lengths(row, answer) if lengths else ():
                    _check(stage.name, expected, got)
            return dict(zip(rows, answers, strict=True))
        except TimeoutError:
            _leave_out(run, rows, LeftOut(stage.name, "over_budget", f"{budget_s * 1000:.0f} ms"))
        except StageContractError as error:
            _leave_out(run, rows, LeftOut(stage.name, "contract", str(error)))
        except Exception as error:  # whatever a part raises, the others still make a list
            _leave_out(run, rows, LeftOut(stage.name, "failed", repr(error)))
        finally:
            STAGE_SECONDS.labels(stage.name).observe(time.perf_counter() - start)
        return {}


def _leave_out(run: _Run, rows: list[int], left_out: LeftOut) -> None:
    STAGE_FAILURES.labels(left_out.part, left_out.why).inc()
    log.warning("pipeline_part_left_out", part=left_out.part, why=left_out.why, detail=left_out.detail)
    for row in rows:
        run.left_out[row].append(left_out)


def _check(stage: str, expected: int, got: int) -> None:
    if expected != got:
        raise StageContractError(stage, expected, got)


def _pick(values: list[T], rows: list[int]) -> list[T]:
    return [values[row] for row in rows] if len(rows) < len(values) else values


async def _together(calls: Sequence[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*calls))


def _best_first(scores: FloatArray) -> IntArray:
    """Places by falling score, non-finite ones last, equal ones in their order."""
    return np.argsort(np.where(np.isfinite(scores), -scores, np.inf), kind="stable")
