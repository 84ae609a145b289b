"""Waiting while a tenant is parked: who goes on when, with a clock of the test's own."""

import asyncio
from itertools import pairwise

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from streams.breaker import BreakerSettings, Reason
from streams.parking import BoardAwayError, Parking
from streams.parking_board import RedisBoard

BAD = [(True, 10)]
GOOD = [(False, 10)]
SETTINGS = BreakerSettings(window=10, min_events=5, run=100)


class FakeClock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class FakeBoard:
    """A board in memory; `marks` are what the next looks find, the last of them for good."""

    def __init__(self, *marks: bytes | Exception | None) -> None:
        self.marks = list(marks)
        self.posted: list[tuple[str, str, Reason]] = []

    async def post(self, tenant: str, agent: str, reason: Reason) -> bytes | None:
        self.posted.append((tenant, agent, reason))
        mark = self.marks.pop(0) if len(self.marks) > 1 else self.marks[0]
        if isinstance(mark, Exception):
            raise mark
        return mark


def make_parking(clock: FakeClock, board: FakeBoard | None = None, agent: str = "judge") -> Parking:
    return Parking(agent, SETTINGS, board=board, clock=clock, sleep=clock.sleep)


def never() -> bool:
    return False


def shown(tenant: str, reason: str = "ratio", agent: str = "judge") -> float | None:
    return REGISTRY.get_sample_value("millrace_tenant_parked", {"agent": agent, "tenant": tenant, "reason": reason})


async def test_a_parked_tenant_waits_and_others_do_not(tenant: str) -> None:
    clock = FakeClock()
    parking = make_parking(clock)
    parking.observe(tenant, BAD, never)
    parking.observe("other", GOOD, never)
    await parking.admission("other")
    assert clock.now == 0
    assert (parking.is_parked(tenant), parking.is_parked("other"), parking.is_parked("nobody")) == (True, False, False)
    assert (shown(tenant), shown(tenant, "run"), shown("other")) == (1, 0, None)
    await parking.admission(tenant)
    assert clock.now == 60
    parking.observe(tenant, GOOD, never)
    assert (parking.is_parked(tenant), shown(tenant)) == (False, 0)


async def test_after_a_pause_one_of_the_waiting_batches_is_let_through(tenant: str) -> None:
    clock = FakeClock()
    parking = make_parking(clock)
    parking.observe(tenant, BAD, never)
    tried: list[float] = []

    async def process() -> None:
        await parking.admission(tenant)
        tried.append(clock.now)
        parking.observe(tenant, BAD if len(tried) < 3 else GOOD, never)

    await asyncio.gather(*(process() for _ in range(4)))
    pauses = [round(after - before) for before, after in pairwise(tried)]
    assert pauses == [120, 240, 0]  # the fourth at once, for the third was good


async def test_goes_on_at_once_when_what_was_rejected_would_be_accepted(tenant: str) -> None:
    clock = FakeClock()
    parking = make_parking(clock)
    parking.observe(tenant, BAD, lambda: clock.now >= 5)
    await asyncio.gather(*(parking.admission(tenant) for _ in range(3)))
    assert 5 <= clock.now < 7
    assert not parking.is_parked(tenant)


async def test_goes_on_when_an_operator_leaves_a_mark_that_was_not_there(tenant: str) -> None:
    clock = FakeClock()
    board = FakeBoard(BoardAwayError("away"), b"old", b"old", BoardAwayError("away"), b"old", b"new")
    parking = make_parking(clock, board)
    parking.observe(tenant, BAD, never)
    await parking.admission(tenant)
    assert 4 < clock.now < 7
    assert board.posted == [(tenant, "judge", Reason.RATIO)] * 6
    parking.observe(tenant, BAD, never)
    await parking.admission(tenant)  # the same mark does not resume it a second time
    assert clock.now > 60


async def test_what_waits_is_parked_for_the_gauge_and_what_left_is_so_until_the_pause_ends(tenant: str) -> None:
    clock = FakeClock()
    parking = make_parking(clock, agent="features")
    parking.observe(tenant, BAD, never)
    waiting = asyncio.ensure_future(parking.admission(tenant))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert shown(tenant, agent="features") == 1
    clock.now = 61
    assert shown(tenant, agent="features") == 0


async def test_the_board_in_redis_is_posted_for_a_while_and_carries_marks(redis_client: Redis, tenant: str) -> None:
    board = RedisBoard(redis_client)
    assert await board.post(tenant, "judge", Reason.RUN) is None
    assert await redis_client.hgetall(f"{tenant}:parked") == {b"judge": b"run"}
    assert 0 < await redis_client.ttl(f"{tenant}:parked") <= 10
    await redis_client.set(f"{tenant}:parked:resumed", "now")
    assert await board.post(tenant, "judge", Reason.RUN) == b"now"


async def test_a_redis_that_is_away_is_a_board_that_is_away() -> None:
    nowhere = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    with pytest.raises(BoardAwayError):
        await RedisBoard(nowhere).post("acme", "judge", Reason.RUN)
    await nowhere.aclose()
