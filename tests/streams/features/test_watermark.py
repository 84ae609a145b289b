"""The watermark, by example, and the fast path against it."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from streams.features.watermark import DELIVERY_MS, MINUTE_MS, Closing
from tests.factories import NOON, make_event

CLOSING = Closing(lateness_ms=5, idle_ms=15)


@pytest.mark.parametrize(
    ("moment", "arrival", "mark"),
    [(100, 100, 95), (100, 103, 95), (100, 200, 185), (300, 100, 95)],
    ids=["in time", "a little late", "very late: the arrival moves it", "ahead: as of its arrival"],
)
def test_where_an_event_moves_the_watermark(moment: int, arrival: int, mark: int) -> None:
    assert CLOSING.mark(moment, arrival) == mark


moments = st.integers(NOON - 100, NOON + 100)


@given(st.lists(st.builds(make_event, timestamp=moments, received_at=moments)))
def test_the_marks_of_a_batch_are_those_of_its_events_and_never_fall(events: list[Event]) -> None:
    marks = [CLOSING.mark(event.timestamp, event.received_at) for event in events]
    assert CLOSING.marks(events, NOON + 200) == list(accumulate(marks, max))


@pytest.mark.parametrize("arrival", [0, -1, NOON + MINUTE_MS + 1, 2**60])
def test_an_arrival_that_cannot_be_is_taken_for_now(arrival: int) -> None:
    event = make_event(timestamp=2**60, received_at=arrival)
    assert CLOSING.marks([event], NOON) == [NOON - CLOSING.lateness_ms]


def test_the_clock_stays_behind_what_may_still_be_delivered() -> None:
    assert CLOSING.at_clock(NOON) == NOON - 15 - DELIVERY_MS
    assert CLOSING.at_clock(NOON) <= CLOSING.mark(0, NOON - DELIVERY_MS)


@pytest.mark.parametrize(("lateness", "idle"), [(-1, 5), (6, 5)])
def test_waits_that_make_no_sense_are_refused(lateness: int, idle: int) -> None:
    with pytest.raises(ValueError, match="between 0 and the idle allowance"):
        Closing(lateness, idle)
