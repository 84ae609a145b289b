"""What the runner holds the parts to, and what it does without those that fail."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommenders.arrays import BoolArray, Column, FloatArray, IntArray
from recommenders.candidates import Candidates, Query, Recalled, Result, merge
from recommenders.runner import Runner, Stages
from recommenders.stages import Filter, Scorer, Source, Stage
from tests.recommenders.factories import SLOTS, make_query, make_recalled


@dataclass
class Finds:
    """A source of these items."""

    items: Sequence[int]

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        return [make_recalled(self.items) for _ in queries]


@dataclass
class Raises:
    error: Exception = field(default_factory=lambda: RuntimeError("broken"))

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        raise self.error


class Waits:
    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        await asyncio.sleep(30)
        raise AssertionError("not reached")


class Computes:
    """Takes its time and never gives way."""

    async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
        time.sleep(0.03)  # noqa: ASYNC251 - that is the point
        return [make_recalled([1]) for _ in queries]


class KeepsEven:
    async def keep(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[BoolArray]:
        return [each.items % 2 == 0 for each in candidates]


class KeepsSmall:
    async def keep(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[BoolArray]:
        return [each.items < 10 for each in candidates]


@dataclass
class Scores:
    give: Callable[[Candidates], FloatArray]

    async def score(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[FloatArray]:
        return [self.give(each) for each in candidates]


class All:
    async def select(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[IntArray]:
        return [np.arange(len(each)) for each in candidates]


BY_NUMBER = Scores(lambda each: each.items.astype(float))


def source(part: Source, name: str = "source", **fields: Any) -> Stage[Source]:
    return Stage(name, part, **fields)


def runner(
    *sources: Stage[Source], filters: Sequence[Stage[Filter]] = (), scorers: Sequence[Stage[Scorer]] = (), **more: Any
) -> Runner:
    return Runner(Stages(sources=sources, filters=filters, scorers=scorers, selector=Stage("all", All()), **more))


async def run_one(runner: Runner, **fields: Any) -> Result:
    (result,) = await runner.run([make_query(**fields)])
    return result


async def test_merging_keeps_every_source_that_named_an_item() -> None:
    result = await run_one(runner(source(Finds([3, 1]), "a"), source(Finds([1, 2]), "b")))
    assert result.retrieved.items.tolist() == [3, 1, 2]
    assert (~np.isnan(result.retrieved.recall)).tolist() == [[True, False], [True, True], [False, True]]
    assert result.sources == ("a", "b")


async def test_a_filter_is_named_with_what_it_removed() -> None:
    filters: list[Stage[Filter]] = [Stage("even", KeepsEven()), Stage("small", KeepsSmall())]
    result = await run_one(runner(source(Finds([1, 2, 12, 4])), filters=filters))
    assert {name: items.tolist() for name, items in result.filtered.items()} == {"even": [1], "small": [12]}
    assert result.retrieved.items.tolist() == [1, 2, 12, 4]
    assert result.selected.items.tolist() == [2, 4]


async def test_the_best_score_stands_first_and_those_not_finite_last() -> None:
    scores = {1: 0.5, 2: np.nan, 3: 0.9, 4: np.inf, 5: 0.1}
    scorer = Scores(lambda each: np.array([scores[item] for item in each.items.tolist()]))
    result = await run_one(runner(source(Finds([1, 2, 3, 4, 5])), scorers=[Stage("fixed", scorer)]))
    assert result.scored.items.tolist() == [3, 1, 5, 2, 4]


async def test_the_last_scorer_decides_and_sees_what_those_before_gave() -> None:
    scorers: list[Stage[Scorer]] = [Stage("number", BY_NUMBER), Stage("minus", Scores(lambda each: -each.scores))]
    result = await run_one(runner(source(Finds([2, 1, 3])), scorers=scorers))
    assert result.selected.items.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("part", "why"), [(Raises(), "failed"), (Waits(), "over_budget"), (Computes(), "over_budget")])
async def test_a_source_that_fails_or_is_late_is_left_out_and_named(part: Source, why: str) -> None:
    result = await run_one(runner(source(part, "bad"), source(Finds([7]), "good", budget_ms=1000)))
    assert [(left.part, left.why) for left in result.left_out] == [("bad", why)]
    assert result.selected.items.tolist() == [7]


async def test_a_scorer_that_answers_too_few_numbers_breaks_its_contract() -> None:
    scorers: list[Stage[Scorer]] = [
        Stage("number", BY_NUMBER),
        Stage("short", Scores(lambda each: np.zeros(len(each) - 1))),
    ]
    result = await run_one(runner(source(Finds([1, 2])), scorers=scorers))
    (left_out,) = result.left_out
    assert (left_out.part, left_out.why) == ("short", "contract")
    assert left_out.detail == "short answered 1 values for 2"
    assert result.selected.items.tolist() == [2, 1]


async def test_a_source_that_answers_for_too_few_queries_breaks_its_contract() -> None:
    class Forgets:
        async def recall(self, queries: Sequence[Query]) -> Sequence[Recalled]:
            return []

    result = await run_one(runner(source(Forgets(), "forgets")))
    assert [(left.part, left.why) for left in result.left_out] == [("forgets", "contract")]


async def test_patience_stretches_every_budget() -> None:
    stages = Stages(sources=[source(Computes(), budget_ms=5)], selector=Stage("all", All()))
    (result,) = await Runner(stages, patience=1000).run([make_query()])
    assert result.left_out == ()


async def test_a_part_is_called_only_for_the_queries_it_is_enabled_for() -> None:
    only_slots = source(Finds([1]), "slots", enabled=lambda query: query.scene.name == "slots")
    results = await runner(only_slots, source(Finds([2]), "any")).run([make_query(), make_query(scene=SLOTS)])
    assert [result.selected.items.tolist() for result in results] == [[2], [1, 2]]


async def test_a_pipeline_answers_without_its_selector() -> None:
    class Broken:
        async def select(self, queries: Sequence[Query], candidates: Sequence[Candidates]) -> Sequence[IntArray]:
            raise RuntimeError("broken")

    stages = Stages(sources=[source(Finds([1, 2]))], selector=Stage("broken", Broken()))
    (result,) = await Runner(stages).run([make_query()])
    assert result.selected.items.tolist() == [1, 2]


async def test_hydrators_complete_queries_and_candidates_and_post_selection_thins() -> None:
    class Completes:
        async def complete(self, queries: Sequence[Query]) -> Sequence[Mapping[str, Any]]:
            return [{"history": (1,)} for _ in queries]

    class Doubles:
        async def hydrate(
            self, queries: Sequence[Query], candidates: Sequence[Candidates]
        ) -> Sequence[Mapping[str, Column]]:
            return [{"double": 2 * each.items} for each in candidates]

    class DropsFirst:
        async def refine(self, queries: Sequence[Query], selected: Sequence[Candidates]) -> Sequence[IntArray]:
            return [np.arange(1, len(each)) for each in selected]

    more: dict[str, Any] = {
        "query_hydrators": [Stage("completes", Completes())],
        "hydrators": [Stage("doubles", Doubles())],
        "post_selection": [Stage("drops", DropsFirst())],
    }
    result = await run_one(runner(source(Finds([4, 5])), **more))
    assert result.query.history == (1,)
    assert result.selected.items.tolist() == [5]
    assert result.selected.features["double"].tolist() == [10]


async def test_side_effects_run_after_the_answer_and_may_fail() -> None:
    seen: list[int] = []

    class Notes:
        async def run(self, results: Sequence[Result]) -> None:
            seen.append(len(results))

    class Fails:
        async def run(self, results: Sequence[Result]) -> None:
            raise RuntimeError("broken")

    whole = runner(source(Finds([1])), side_effects=[Stage("fails", Fails()), Stage("notes", Notes())])
    results = await whole.run([make_query(), make_query()])
    assert seen == []
    await whole.run_side_effects(results)
    assert seen == [2]


async def test_candidates_cannot_be_changed() -> None:
    result = await run_one(runner(source(Finds([1]))))
    with pytest.raises(ValueError, match="read-only"):
        result.retrieved.items[0] = 2


@given(st.lists(st.lists(st.integers(0, 20), unique=True, max_size=10), min_size=1, max_size=4))
def test_merging_loses_nothing_and_invents_nothing(named: list[list[int]]) -> None:
    merged = merge([make_recalled(items) for items in named])
    rows = {item: row for row, item in enumerate(merged.items.tolist())}
    assert list(rows) == list(dict.fromkeys(item for items in named for item in items))
    for column, items in enumerate(named):
        scores = dict(zip(items, make_recalled(items).scores.tolist(), strict=True))
        kept = {item: merged.recall[row, column] for item, row in rows.items()}
        assert {item: score for item, score in kept.items() if not np.isnan(score)} == scores
