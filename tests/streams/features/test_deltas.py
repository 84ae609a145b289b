"""Runs: what one step may apply to a session."""

from typing import Any

import msgspec
import pytest

from schemas.event import Event
from streams.features.deltas import DeltaBuilder
from streams.features.model import DAY_MS, ScenarioSignals
from tests.factories import NOON, make_event
from tests.streams.features.traffic import MINUTE, signals


def at(minute: int, **fields: Any) -> Event:
    return make_event(**({"scenario_id": "feed", "timestamp": NOON + minute * MINUTE} | fields))


def runs(*events: Event, split: frozenset[str] = frozenset()) -> int:
    """How many runs a single user's events make."""
    users = msgspec.msgpack.decode(DeltaBuilder("acme", signals, NOON + DAY_MS).build(events, split=split).blob)[5]
    return int(users[2 + users[1]])


def test_events_in_order_and_within_the_gap_are_one_run() -> None:
    assert runs(at(0), at(0), at(30), at(60)) == 1


def test_an_older_event_a_longer_pause_and_another_gap_begin_a_run() -> None:
    assert runs(at(0), at(-1)) == 2
    assert runs(at(0), at(31)) == 2
    assert runs(at(0), at(1, scenario_id="s:p%cial"), at(2)) == 3


def test_scenarios_of_one_gap_share_a_run() -> None:
    assert runs(at(0), at(1, scenario_id="新闻")) == 1


def test_a_watermark_by_which_the_session_may_have_ended_begins_a_run() -> None:
    def between(minute: int) -> Event:
        return at(minute, user_id="other", received_at=NOON + minute * MINUTE)

    assert runs(at(0), between(35), at(20)) == 1
    assert runs(at(0), between(36), at(20)) == 2
    behind = at(0, received_at=NOON + 60 * MINUTE)
    assert runs(behind, between(36), at(20)) == 1, "it came as the watermark was there already"


def test_a_split_user_has_a_run_for_each_event() -> None:
    assert runs(at(0), at(1), at(2), split=frozenset({"u1"})) == 3


def test_users_are_named_in_the_order_of_their_first_events() -> None:
    deltas = DeltaBuilder("acme", signals, NOON).build([at(0, user_id="b"), at(0, user_id="a"), at(1, user_id="b")])
    assert deltas.users == ["b", "a"]


def test_only_the_last_entries_of_a_recent_list_are_sent() -> None:
    events = [at(n) for n in range(5)]
    users = msgspec.msgpack.decode(DeltaBuilder("acme", signals, NOON, recent=2).build(events).blob)[5]
    assert users[1] == 2


@pytest.mark.parametrize(("gap", "half_life"), [(0, 1), (1, 0), (-1, 1)])
def test_signals_that_make_no_sense_are_refused(gap: int, half_life: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ScenarioSignals(gap, half_life)
