"""The specification itself, by example."""

from typing import Any

from schemas.event import Event
from streams.features.decay import MAX_EXPONENT, decayed, landmark_of
from streams.features.fold import Content, Session, fold
from streams.features.model import DAY_MS
from tests.factories import NOON, make_event
from tests.streams.features.traffic import MINUTE, signals


def at(minute: int, **fields: Any) -> Event:
    plain = {"event_id": f"evt_{minute}_{fields}", "scenario_id": "feed", "timestamp": NOON + minute * MINUTE}
    return make_event(**(plain | fields))


def folded(*events: Event, **catalogue: str) -> Content:
    return fold(events, signals=signals, landmark=landmark_of(NOON), catalogue=catalogue)


def session(*events: Event) -> Session:
    return folded(*events).sessions["u1"]


def test_an_event_within_the_gap_joins_and_one_behind_it_begins_anew() -> None:
    assert session(at(0), at(30)).events == 2
    assert session(at(0), at(31)).events == 1


def test_an_earlier_event_within_the_gap_moves_the_start() -> None:
    assert session(at(0), at(-30)).started_at == NOON - 30 * MINUTE


def test_a_late_event_is_counted_and_changes_nothing_else_of_the_session() -> None:
    late = folded(at(0), at(-31, item_id="i2"))
    assert (late.sessions["u1"].late, late.sessions["u1"].events) == (1, 1)
    assert late.sessions["u1"].items == {"i1"}
    assert len(late.recents["u1"]) == 2
    assert "i2" in late.hot_global


def test_the_gap_is_that_of_the_events_scenario() -> None:
    assert session(at(0), at(11, scenario_id="s:p%cial")).events == 1
    assert session(at(0, scenario_id="s:p%cial"), at(11)).events == 2


def test_an_event_id_counts_once() -> None:
    assert session(at(0, event_id="same"), at(5, event_id="same")).events == 1


def test_click_through_is_zero_without_impressions() -> None:
    assert session(at(0, action_type="click")).as_hash()["ctr"] == "0"
    shown = [at(n, action_type="impression") for n in range(3)]
    assert session(*shown, at(4, action_type="click")).as_hash()["ctr"] == "0.333333"


def test_recent_items_are_distinct_and_newest_first() -> None:
    events = [at(0, item_id="a"), at(1, item_id="b"), at(2, item_id="a")]
    assert session(*events).recent_items == ["a", "b"]


def test_the_session_id_depends_on_its_first_event_only() -> None:
    assert session(at(0)).session_id == session(at(0), at(1)).session_id
    assert session(at(0)).session_id != session(at(1)).session_id


def test_an_experiment_is_kept_until_another_is_named() -> None:
    first = at(0, experiment_id="e", experiment_group="b")
    assert session(first, at(1)).experiment == "e/b"


def test_only_a_positive_weight_makes_an_item_hotter() -> None:
    assert not folded(at(0, weight=0.0), at(1, weight=-1.0)).hot_global


def test_the_catalogue_fills_in_a_category_that_the_event_lacks() -> None:
    content = folded(at(0), at(1, category="live"), i1="slots")
    assert content.hot_category.keys() == {"slots", "live"}
    assert content.sessions["u1"].recent_categories == ["live", "slots"]


def test_follows_and_blocks_are_sets_of_items() -> None:
    content = folded(
        at(0, action_type="follow", item_id="a"),
        at(1, action_type="add_friend", item_id="b"),
        at(2, action_type="block", item_id="c"),
    )
    assert (content.follows["u1"], content.blocks["u1"]) == ({"a", "b"}, {"c"})


def test_a_score_halves_with_each_half_life_and_never_overflows() -> None:
    assert decayed(3.0, NOON + DAY_MS, NOON, DAY_MS) == 6.0
    assert decayed(3.0, NOON - DAY_MS, NOON, DAY_MS) == 1.5
    assert decayed(1.0, NOON + 5000 * DAY_MS, NOON, DAY_MS) == 2.0**MAX_EXPONENT
    assert decayed(1.0, NOON - 5000 * DAY_MS, NOON, DAY_MS) > 0
