"""The specification itself, by example."""

from typing import Any

import pytest

from schemas.event import Event
from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT
from streams.features.fold import Content, HotList, fold
from streams.features.model import DAY_MS, HeatCap, Sizes
from streams.features.session_fold import Session
from tests.factories import NOON, make_event
from tests.streams.features.traffic import MINUTE, signals


def at(minute: int, **fields: Any) -> Event:
    plain = {"event_id": f"evt_{minute}_{fields}", "scenario_id": "feed", "timestamp": NOON + minute * MINUTE}
    return make_event(**(plain | fields))


def folded(*events: Event, **catalogue: str) -> Content:
    return fold(events, signals=signals, catalogue=catalogue)


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
    assert "i2" in late.hot[GLOBAL].heat


def test_the_gap_is_that_of_the_events_scenario() -> None:
    assert session(at(0), at(11, scenario_id="s:p%cial")).events == 1
    assert session(at(0, scenario_id="s:p%cial"), at(11)).events == 2


def passing(minute: int, user: str = "other") -> Event:
    """An event in time of somebody else, which moves the watermark."""
    return at(minute, user_id=user, received_at=NOON + minute * MINUTE)


def test_a_session_is_closed_once_the_watermark_has_passed_it_by_its_gap() -> None:
    assert not folded(at(0), passing(35)).sessions["u1"].closed
    assert folded(at(0), passing(36)).sessions["u1"].closed
    assert [each.user_id for each in folded(at(0), passing(36)).all_sessions.ended] == ["u1"]


def test_a_closed_session_takes_nothing_more() -> None:
    newer = folded(at(0), passing(36), at(10))
    assert newer.sessions["u1"].started_at == NOON + 10 * MINUTE
    older = folded(at(0), passing(36), at(-1))
    assert (older.sessions["u1"].late, older.sessions["u1"].events) == (1, 1)
    assert older.all_sessions.ended[0].fields["late"] == "0", "summarised as it was when it was closed"


def test_events_behind_the_watermark_make_one_session_that_waits_for_its_gap() -> None:
    offline = [at(minute, received_at=NOON + 600 * MINUTE) for minute in range(5)]
    content = folded(passing(600), *offline)
    assert content.sessions["u1"].events == 5
    assert content.sessions["u1"].closes_at == NOON + (595 + 30) * MINUTE


def test_a_session_that_is_replaced_ends() -> None:
    (ended,) = folded(at(0), at(1), at(32)).all_sessions.ended
    assert (ended.user_id, ended.fields["events"]) == ("u1", "2")


def test_each_partition_has_a_watermark_of_its_own() -> None:
    elsewhere = passing(100)
    elsewhere.partition = 1
    assert not folded(at(0), elsewhere).sessions["u1"].closed


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
    assert not folded(at(0, weight=0.0), at(1, weight=-1.0)).hot


def test_the_catalogue_fills_in_a_category_that_the_event_lacks() -> None:
    content = folded(at(0), at(1, category="live"), i1="slots")
    assert {name for name in content.hot if name.startswith(CATEGORY)} == {"hot:category:slots", "hot:category:live"}
    assert content.sessions["u1"].recent_categories == ["live", "slots"]


def test_follows_and_blocks_are_sets_of_items() -> None:
    content = folded(
        at(0, action_type="follow", item_id="a"),
        at(1, action_type="add_friend", item_id="b"),
        at(2, action_type="block", item_id="c"),
    )
    assert (content.follows["u1"], content.blocks["u1"]) == ({"a", "b"}, {"c"})


def test_heat_halves_with_each_half_life() -> None:
    played, a_day_later = at(0, weight=4.0), at(0, event_id="b", item_id="i2", received_at=NOON + DAY_MS, weight=1.0)
    assert folded(played, a_day_later).hot[GLOBAL].heat == {"i1": 2.0, "i2": 0.5}
    assert folded(played, a_day_later).hot[GLOBAL_SHORT].heat == {"i1": 4.0 / 2**8, "i2": 1.0 / 2**8}


def test_an_event_dated_ahead_counts_as_of_its_arrival() -> None:
    assert folded(at(20 * 60, received_at=NOON)).hot[GLOBAL].heat == {"i1": 1.0}


def test_under_another_half_life_a_list_goes_on_where_it_stood() -> None:
    hot = HotList(1000, NOON)
    hot.add("i1", 8.0, NOON)
    hot.move(NOON + 2000, 500)
    assert hot.heat == {"i1": 2.0}
    hot.move(NOON + 2500, 500)
    assert hot.heat == {"i1": 1.0}


def test_of_a_user_an_item_takes_so_much_a_window_and_no_more() -> None:
    cap = HeatCap(weight=2.5, window_ms=DAY_MS)
    events = [at(0, event_id=f"e{n}", received_at=NOON) for n in range(5)]
    others = [at(0, user_id="u2", received_at=NOON), at(0, item_id="i2", received_at=NOON)]
    next_day = [at(0, event_id="next", timestamp=NOON + DAY_MS, received_at=NOON + DAY_MS, item_id="i3")]
    content = fold([*events, *others], signals=signals, cap=cap)
    assert content.hot[GLOBAL].heat["i1"] == 3.5
    assert content.given["u1", NOON // DAY_MS] == {"i1": 2.5, "i2": 1.0}
    assert fold([*events, *next_day], signals=signals, cap=cap).given["u1", NOON // DAY_MS + 1] == {"i3": 1.0}


def test_a_user_heats_so_many_items_a_window_and_no_more() -> None:
    events = [at(0, event_id=f"e{n}", item_id=f"i{n % 3}") for n in range(6)]
    assert fold(events, signals=signals, cap=HeatCap(items=2)).hot[GLOBAL].heat.keys() == {"i0", "i1"}


def test_a_category_beyond_the_last_place_has_no_list() -> None:
    events = [at(n, category=f"c{n}") for n in range(3)]
    content = fold(events, signals=signals, sizes=Sizes(hot_categories=2))
    assert {name for name in content.hot if name.startswith(CATEGORY)} == {"hot:category:c0", "hot:category:c1"}
    assert content.hot[GLOBAL].heat["i1"] == pytest.approx(3.0, rel=0.01)
