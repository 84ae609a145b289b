"""The features' step against a sink that answers as it is told."""

import asyncio
from collections.abc import Mapping, Sequence
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
        self.held = fence
        self.answering = asyncio.Event()
        self.answering.set()
        self._outcomes = list(outcomes)
        self.calls: list[tuple[Any, ...]] = []

    async def fence(self, tenant: str, partition: int) -> tuple[int, int] | None:
        return self.held

    async def fences(self, partitions: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], tuple[int, int] | None]:
        await self.answering.wait()
        return {(tenant, number): self.held for tenant, numbers in partitions.items() for number in numbers}

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


@pytest.mark.parametrize(("held", "read_on"), [(None, 0), ((1, 7), 8), ((1, 40), 41)])
async def test_a_fence_that_went_back_says_where_to_read_again(held: tuple[int, int] | None, read_on: int) -> None:
    sink = FakeSink((1, 41))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    assert await step.lost([ACME]) == {}
    sink.held = held
    assert await step.lost([ACME, TP(ACME.topic, 1)]) == {ACME: read_on}


@pytest.mark.parametrize("held", [(1, 50), (2, 41), (2, 7)])
async def test_a_fence_that_a_later_owner_moved_is_no_loss(held: tuple[int, int]) -> None:
    sink = FakeSink((1, 41))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    sink.held = held
    assert await step.lost([ACME]) == {}


async def test_a_fence_that_was_read_before_a_batch_was_written_says_nothing() -> None:
    sink = FakeSink((1, 41))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    sink.held = None
    sink.answering.clear()
    looking = asyncio.ensure_future(step.lost([ACME]))
    await asyncio.sleep(0)
    await step.process(batch_of(FakeRecord(42, b"ann")))
    sink.answering.set()
    assert await looking == {}


async def test_a_partition_that_was_moved_back_is_written_behind_what_redis_has_by_then() -> None:
    sink = FakeSink((1, 41))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    sink.held = (1, 5)  # less than what `lost` saw
    assert await step.process(batch_of(FakeRecord(8, b"ann"))) == 6
    await step.process(batch_of(FakeRecord(6, b"ann")))
    assert sink.calls == [("acme", 0, 1, 5, 6, [6])]


async def test_a_partition_that_was_moved_back_and_belongs_to_another_is_left_alone() -> None:
    sink = FakeSink((1, 41))
    step = FeaturesStep(sink, FakeJudge())
    await step.where([ACME], 1)
    sink.held = (2, 5)
    with pytest.raises(PartitionLostError):
        await step.process(batch_of(FakeRecord(8, b"ann")))
    assert sink.calls == []


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
