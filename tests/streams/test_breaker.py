"""When a tenant is parked and when it goes on, without any worker."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.breaker import Breaker, BreakerSettings, Reason, Runs, VerdictWindow, runs_of, share_rejected
from tests.streams.fakes import FakeRecord

SMALL = BreakerSettings(ratio=0.5, window=10, min_events=4, run=6, first_pause_s=60, longest_pause_s=200)
verdicts = st.lists(st.booleans(), max_size=60)


def runs(*each: bool) -> Runs:
    return [(bad, 1) for bad in each]


def parked_at(rejected: list[bool], settings: BreakerSettings) -> int | None:
    """The slow reference: the number of the event that parks, counted one by one."""
    window: deque[bool] = deque(maxlen=settings.window)
    successive = 0
    for number, bad in enumerate(rejected):
        window.append(bad)
        successive = successive + 1 if bad else 0
        too_many = len(window) >= settings.min_events and sum(window) > settings.ratio * len(window)
        if bad and (too_many or successive >= settings.run):
            return number
    return None


@given(verdicts, st.lists(st.integers(1, 20), max_size=20))
def test_parks_in_the_batch_that_holds_the_event_of_the_reference(rejected: list[bool], sizes: list[int]) -> None:
    expected, breaker, end = parked_at(rejected, SMALL), Breaker(SMALL), 0
    for size in [*sizes, 60]:
        batch, start = rejected[end : end + size], end
        end += size
        records = [FakeRecord(start + number) for number in range(len(batch))]
        breaker.observe(runs_of(records, {start + number for number, bad in enumerate(batch) if bad}), 0.0)
        assert (breaker.reason is not None) == (expected is not None and expected < end)
        if breaker.reason is not None:
            return


@given(verdicts)
def test_a_window_counts_as_if_it_held_every_verdict(rejected: list[bool]) -> None:
    window, kept = VerdictWindow(7), deque[bool](maxlen=7)
    for bad, count in runs_of([FakeRecord(n) for n in range(len(rejected))], {n for n, b in enumerate(rejected) if b}):
        window.add(bad, count)
        kept.extend([bad] * count)
        assert (window.events, window.rejected) == (len(kept), sum(kept))


def test_runs_are_the_verdicts_in_order_though_offsets_have_gaps() -> None:
    records = [FakeRecord(offset) for offset in (3, 7, 8, 20)]
    assert runs_of(records, {7, 8}) == [(False, 1), (True, 2), (False, 1)]
    assert runs_of(records, set()) == [(False, 4)]
    assert share_rejected([(False, 1), (True, 3)]) == 0.75
    assert share_rejected([]) == 0


def test_few_bad_events_park_nobody() -> None:
    breaker = Breaker(SMALL)
    breaker.observe(runs(True, True, True), 0.0)
    assert breaker.reason is None
    breaker.observe(runs(False, False, False, False, True, False), 0.0)
    assert breaker.reason is None  # 4 of 8, then 9, is not more than half


def test_a_run_parks_a_tenant_whose_past_was_good() -> None:
    breaker = Breaker(BreakerSettings(window=1000, run=500))
    breaker.observe([(False, 1000), (True, 499)], 0.0)
    assert breaker.reason is None
    breaker.observe([(True, 1)], 0.0)
    assert breaker.reason is Reason.RUN


def test_a_pause_ends_with_one_batch_and_doubles_when_that_is_bad() -> None:
    breaker = Breaker(SMALL)
    breaker.observe([(True, 5)], 1000.0)
    assert breaker.reason is Reason.RATIO
    assert (breaker.admits(1059.9), breaker.admits(1060.0)) == (False, True)
    for now, pause in ((1060.0, 120), (1180.0, 200), (1380.0, 200)):
        breaker.observe(runs(True, True, False), now)
        assert breaker.tries_at == now + pause
        assert not breaker.admits(now)
    breaker.observe(runs(True, False), 1580.0)
    assert breaker.reason is None
    assert breaker.admits(1580.0)


def test_one_who_goes_on_begins_with_an_empty_window_and_the_first_pause() -> None:
    breaker = Breaker(SMALL)
    breaker.observe([(True, 5)], 0.0)
    breaker.observe([(True, 5)], 60.0)
    breaker.resume()
    breaker.observe([(True, 3)], 100.0)
    assert breaker.reason is None
    breaker.observe([(True, 1)], 100.0)
    assert breaker.tries_at == 160.0


def test_a_ratio_of_one_is_off() -> None:
    breaker = Breaker(BreakerSettings(ratio=1.0, run=1))
    breaker.observe([(True, 10_000)], 0.0)
    assert breaker.reason is None


@pytest.mark.parametrize(
    "wrong",
    [{"ratio": 0}, {"ratio": 1.1}, {"min_events": 0}, {"min_events": 1001}, {"run": 0}, {"first_pause_s": 700}],
)
def test_refuses_settings_that_mean_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        BreakerSettings(**wrong)  # type: ignore[arg-type]
