"""The features' step against a sink that answers as it is told."""

import asyncio
from typing import Any

import pytest
from faust.types import TP

from schemas.event import Event
from streams.breaker import BreakerSettings
from streams.features.sink import Applied, FenceMoved, Outcome, Zombie
from streams.features_agent import FeaturesStep, PartitionLostError
from streams.parking import Parking
from tests.streams.fakes import FakeJudge, FakeRecord, batch_of

ACME = TP("user-behaviors-acme", 0)


class FakeSink:
    def __init__(self, fence: tuple[int, int] | None, *outcomes: Outcome) -> None:
        self._fence = fence
        self._outcomes = list(outcomes)
        self.calls: list[tuple[Any, ...]] = []

    async def fence(self, tenant: str, partition: int) -> tuple[int, int] | None:
        return self._fence

    async def apply(
        self,
        tenant: str,
        partition: int,
        epoch: int,
        expected_offset: int | None,
        last_offset: int,
        events: list[Event],
    ) -> Outcome:
        self.calls.append((tenant, partition, epoch, expected_offset, last_offset, [event.offset for event in events]))
        return self._outcomes.pop(0) if self._outcomes else Applied(len(events))


async def test_a_partition_begins_behind_its_fence_and_each_batch_behind_the_last() -> None:
    sink = FakeSink((3, 41))
    step = FeaturesStep(sink, FakeJudge())
    assert await step.where([ACME], 5) == {ACME: 42}
    assert await step.process(batch_of(FakeRecord(42, b"ann"), FakeRecord(43, b"bad"))) is None
    assert await step.process(batch_of(FakeRecord(44, b"bob"))) is None
    assert sink.calls == [("acme", 0, 5, 41, 43, [42]), ("acme", 0, 5, 43, 44, [44])]


async def test_a_partition_without_a_fence_begins_at_its_beginning() -> None:
    sink = FakeSink(None)
    step = FeaturesStep(sink, FakeJudge())
    assert await step.where([ACME], 1) == {ACME: 0}
    await step.process(batch_of(FakeRecord(7, b"ann")))
    assert sink.calls == [("acme", 0, 1, None, 7, [7])]


@pytest.mark.parametrize(("found", "read_on"), [(20, 21), (None, 0)])
async def test_a_moved_fence_sends_the_partition_there(found: int | None, read_on: int) -> None:
    sink = FakeSink((1, 41), FenceMoved(found))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    assert await step.process(batch_of(FakeRecord(42, b"ann"))) == read_on
    await step.process(batch_of(FakeRecord(read_on, b"ann")))
    assert sink.calls[-1][3:5] == (found, read_on)


async def test_a_partition_of_a_later_owner_is_not_acknowledged() -> None:
    step = FeaturesStep(FakeSink((1, 41), Zombie(9)), FakeJudge())
    await step.where([ACME], 1)
    with pytest.raises(PartitionLostError):
        await step.process(batch_of(FakeRecord(42, b"ann")))


async def test_a_group_that_counts_from_one_again_is_no_zombie() -> None:
    sink = FakeSink((57, 41))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    await step.process(batch_of(FakeRecord(42, b"ann")))
    assert sink.calls[0][2] == 57


async def test_a_tenant_most_of_whose_events_are_rejected_waits_in_front_of_the_sink() -> None:
    sink, parking = FakeSink((1, 9)), Parking("features", BreakerSettings(window=4, min_events=4))
    step = FeaturesStep(sink, FakeJudge(), parking=parking)
    await step.where([ACME], 1)
    await step.process(batch_of(*(FakeRecord(offset, b"bad") for offset in range(10, 14))))
    assert parking.is_parked("acme")
    batch = batch_of(FakeRecord(14, b"ann"))
    waiting = asyncio.ensure_future(step.process(batch))
    await asyncio.sleep(0.05)
    assert (len(sink.calls), batch.waiting, waiting.done()) == (1, True, False)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
