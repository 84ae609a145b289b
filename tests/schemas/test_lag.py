"""Lag: what is summed up, what is known of its age, and which series stand at a scrape."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from schemas.lag import OTHERS, Lag, LagBoard, LagMeter, Reading

NOW = 1_790_000_000_000
SECOND = 1000


def shown(board: LagBoard, name: str = "millrace_consumer_lag_records") -> dict[tuple[str, str], float]:
    """(group, tenant) -> value."""
    return {
        (sample.labels["group"], sample.labels["tenant"]): sample.value
        for family in board.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_a_tenants_partitions_are_summed_up_and_the_oldest_record_counts() -> None:
    readings = {
        0: Reading("acme", 10, 15, NOW - 2 * SECOND),
        1: Reading("acme", 10, 11, NOW - 9 * SECOND),
        2: Reading("beta", 7, 7),
    }
    assert LagMeter().measure(readings, NOW) == {"acme": Lag(6, 9.0), "beta": Lag(0, 0.0)}


def test_what_nobody_has_fetched_is_as_old_as_the_first_look_that_found_it() -> None:
    meter = LagMeter()
    assert meter.measure({0: Reading("acme", 5, 10)}, NOW)["acme"].seconds == 0
    assert meter.measure({0: Reading("acme", 8, 30)}, NOW + 3 * SECOND)["acme"].seconds == 3
    assert meter.measure({0: Reading("acme", 10, 30)}, NOW + 4 * SECOND)["acme"].seconds == 0
    assert meter.measure({0: Reading("acme", 29, 90)}, NOW + 9 * SECOND)["acme"].seconds == 5


def test_a_partition_that_caught_up_or_went_away_begins_anew() -> None:
    meter = LagMeter()
    meter.measure({0: Reading("acme", 5, 10), 1: Reading("beta", 5, 10)}, NOW)
    meter.measure({0: Reading("acme", 10, 10)}, NOW + SECOND)
    later = meter.measure({0: Reading("acme", 10, 12), 1: Reading("beta", 5, 10)}, NOW + 2 * SECOND)
    assert later == {"acme": Lag(2, 0.0), "beta": Lag(5, 0.0)}


Steps = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3000)), max_size=30)


@given(steps=Steps)
def test_the_age_is_never_more_than_that_of_the_oldest_record(steps: Iterable[tuple[int, int, int]]) -> None:
    meter, arrived, done, now = LagMeter(), [], 0, NOW
    for more, processed, later_ms in steps:
        now += later_ms
        arrived += [now] * more
        done = min(done + processed, len(arrived))
        lag = meter.measure({0: Reading("acme", done, len(arrived))}, now)["acme"]
        assert lag.records == len(arrived) - done
        assert lag.seconds * 1000 <= (now - arrived[done] if lag.records else 0) + 0.001


def test_a_look_replaces_the_one_before_so_a_tenant_that_is_gone_has_no_series() -> None:
    board = LagBoard()
    board.report("judge", {"acme": Lag(3, 1.5), "beta": Lag(1, 0.5)})
    board.report("features", {"acme": Lag(9, 2.0)})
    board.report("judge", {"acme": Lag(4, 2.5)})
    assert shown(board) == {("judge", "acme"): 4, ("features", "acme"): 9}
    assert shown(board, "millrace_consumer_lag_seconds") == {("judge", "acme"): 2.5, ("features", "acme"): 2.0}


def test_a_group_that_stopped_looking_has_no_series() -> None:
    now_s = [100.0]
    board = LagBoard(stale_s=10, monotonic=lambda: now_s[0])
    board.report("judge", {"acme": Lag(3, 1.5)})
    now_s[0] = 110.0
    assert shown(board) == {("judge", "acme"): 3}
    now_s[0] = 110.1
    assert shown(board) == {}


def test_tenants_beyond_the_bound_share_a_series_and_the_slowest_keep_theirs() -> None:
    board = LagBoard(max_tenants=2)
    board.report("judge", {"a": Lag(1, 9.0), "b": Lag(20, 1.0), "c": Lag(2, 3.0), "d": Lag(10, 1.0)})
    assert shown(board) == {("judge", "b"): 20, ("judge", "d"): 10, ("judge", OTHERS): 3}
    assert shown(board, "millrace_consumer_lag_seconds")["judge", OTHERS] == 9.0
