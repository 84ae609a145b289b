"""The increments against the definition, and what recall makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommenders.histories import Histories
from recommenders.item_cf import ItemCF, ItemCFSettings, best_first, reference_sums

Log = list[tuple[str, int]]
logs = st.lists(st.tuples(st.sampled_from(["u1", "u2", "u3"]), st.integers(0, 12)), max_size=120)


def learn(log: Log, settings: ItemCFSettings) -> tuple[ItemCF, Histories]:
    item_cf, histories = ItemCF(settings), Histories(max_users=100)
    for user, item in log:
        history = histories.of(user)
        before = history.items.copy()
        if history.touch(item, settings.window):
            item_cf.learn(before, item)
    return item_cf, histories


def scores_by_definition(log: Log, history: list[int], settings: ItemCFSettings) -> dict[int, float]:
    """Recall as the module's docstring has it, pair by pair."""
    sums = reference_sums(log, settings)
    scores: dict[int, float] = {}
    for age, item in enumerate(reversed(history[-settings.recall_items :])):
        for (row, column), pair in sums.items():
            if row == item:
                row_sum = sum(value for (a, _), value in sums.items() if a == row)
                column_sum = sum(value for (_, b), value in sums.items() if b == column)
                score = pair / row_sum**settings.row_power / column_sum**settings.column_power
                scores[column] = scores.get(column, 0.0) + settings.age_decay**age * score
    return scores


@given(logs, st.integers(1, 6))
def test_the_increments_are_the_sums_of_the_definition(log: Log, window: int) -> None:
    settings = ItemCFSettings(window=window)
    item_cf, _ = learn(log, settings)
    kept = {(a, b): value for a, row in enumerate(item_cf.rows) for b, value in row.items()}
    assert kept == pytest.approx(reference_sums(log, settings), rel=1e-9)


@given(logs)
def test_recall_ranks_by_the_scores_of_the_definition(log: Log) -> None:
    settings = ItemCFSettings(window=5, recall_items=3)
    item_cf, histories = learn(log, settings)
    history = histories.of("u1").items
    items, scores, anchors = item_cf.recall(history).best(100)
    expected = scores_by_definition(log, history, settings)
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected, rel=1e-9)
    assert list(scores) == sorted(scores, reverse=True)
    assert set(anchors.tolist()) <= set(history)


@given(logs, st.permutations(["u1", "u2", "u3"]))
def test_the_order_among_users_does_not_matter(log: Log, order: list[str]) -> None:
    settings = ItemCFSettings(window=4)
    one, _ = learn(log, settings)
    other, _ = learn([entry for user in order for entry in log if entry[0] == user], settings)
    size = max(len(one.rows), len(other.rows))
    for item in range(size):
        assert one.rows[item] == pytest.approx(other.rows[item], rel=1e-9)


def test_an_item_touched_again_adds_nothing_and_becomes_the_newest() -> None:
    item_cf, histories = learn([("u", 0), ("u", 1), ("u", 0)], ItemCFSettings())
    assert item_cf.rows[0].keys() == {1}
    assert histories.of("u").items == [1, 0]


def test_the_order_seen_counts_more_than_the_order_against_it() -> None:
    item_cf, _ = learn([("u", 0), ("u", 1)], ItemCFSettings())
    assert item_cf.rows[1][0] == pytest.approx(0.2 * item_cf.rows[0][1])


def test_the_anchor_is_the_history_item_that_spoke_most() -> None:
    item_cf, _ = learn([(f"u{n}", item) for n in range(3) for item in (0, 1)] + [("v", 2), ("v", 3)], ItemCFSettings())
    items, _, anchors = item_cf.recall([0, 2]).best(10)
    assert dict(zip(items.tolist(), anchors.tolist(), strict=True)) == {1: 0, 3: 2}


def test_a_row_is_cut_to_its_heaviest_pairs() -> None:
    settings = ItemCFSettings(max_neighbours=3)
    item_cf = ItemCF(settings)
    for other in range(1, 40):
        for _ in range(3 if other <= 2 else 1):
            item_cf.learn([0], other)
    assert len(item_cf.rows[0]) <= 2 * settings.max_neighbours
    assert {1, 2} <= item_cf.rows[0].keys()
    assert item_cf.row_sums[0] > sum(item_cf.rows[0].values())


def test_only_allowed_items_are_recalled() -> None:
    item_cf, _ = learn([("u", 0), ("u", 1), ("u", 2)], ItemCFSettings())
    allowed = np.array([True, False])  # says nothing of item 2: not allowed
    items, _, _ = item_cf.recall([1]).best(10, allowed)
    assert items.tolist() == [0]


def test_nothing_is_recalled_for_a_history_never_learnt() -> None:
    items, scores, anchors = ItemCF().recall([5, 7]).best(10)
    assert (len(items), len(scores), len(anchors)) == (0, 0, 0)


@given(st.lists(st.integers(0, 9).map(float), max_size=60), st.integers(1, 10))
def test_best_first_is_a_stable_sort_cut_short(scores: list[float], limit: int) -> None:
    slow = sorted(range(len(scores)), key=lambda place: -scores[place])[:limit]
    assert best_first(np.array(scores), limit).tolist() == slow


def test_the_longest_silent_user_is_forgotten_first() -> None:
    histories = Histories(max_users=2)
    for user in ("a", "b", "a", "c"):
        histories.of(user)
    assert histories.get("b") is None
    assert histories.get("a") is not None
