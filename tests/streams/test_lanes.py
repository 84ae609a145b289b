"""Partitions go on side by side; within one, batches come in order, again and again until they succeed."""

import asyncio
from collections import defaultdict
from typing import Any

import pytest

from streams import lanes as lanes_module
from streams.lanes import Lanes
from streams.transport import Batch
from tests.streams.fakes import FakeConsumer, FakeStream, event_of, make_batch


class Gate:
    """A step whose partitions are held back until they are opened."""

    def __init__(self) -> None:
        self.open: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.begun: list[Batch] = []
        self.failures = 0
        self.read_on: int | None = None

    async def where(self, tps: Any, epoch: int) -> dict[Any, int]:
        return {}

    async def process(self, batch: Batch) -> int | None:
        self.begun.append(batch)
        await self.open[batch.partition].wait()
        if self.failures:
            self.failures -= 1
            raise ValueError("poisoned")
        return self.read_on


def make_lanes(step: Gate, consumer: FakeConsumer, stream: FakeStream) -> Lanes:
    return Lanes("test", step, consumer, stream, depth=2)  # type: ignore[arg-type]


async def test_a_partition_that_waits_does_not_hold_up_another() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    lanes = make_lanes(step, consumer, stream)
    slow, quick = make_batch([0], partition=0), make_batch([0], partition=1)
    step.open[1].set()
    for batch in (slow, quick):
        await lanes.submit(event_of(batch))
    await stream.wait_for(1)
    assert stream.acked == [quick]
    step.open[0].set()
    await stream.wait_for(2)
    assert slow.processed


async def test_batches_of_one_partition_come_one_by_one_and_in_order() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    lanes = make_lanes(step, consumer, stream)
    batches = [make_batch([offset]) for offset in range(5)]
    for batch in batches:
        await lanes.submit(event_of(batch))
    await asyncio.sleep(0)
    assert step.begun == batches[:1]
    step.open[0].set()
    await stream.wait_for(5)
    assert stream.acked == step.begun == batches


async def test_a_full_lane_pauses_its_partition_until_there_is_room() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    lanes = make_lanes(step, consumer, stream)
    for offset in range(2):
        await lanes.submit(event_of(make_batch([offset])))
    tp = make_batch([0]).tp
    assert consumer.full == [tp]
    assert consumer.dropped == []
    step.open[0].set()
    await stream.wait_for(2)
    assert tp in consumer.dropped


async def test_a_batch_that_fails_comes_again_and_nothing_overtakes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "FIRST_PAUSE_S", 0.001)
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    step.failures = 3
    step.open[0].set()
    lanes = make_lanes(step, consumer, stream)
    batches = [make_batch([0]), make_batch([1])]
    for batch in batches:
        await lanes.submit(event_of(batch))
    await stream.wait_for(2)
    assert step.begun == [batches[0]] * 4 + [batches[1]]
    assert stream.acked == batches


async def test_a_sink_that_wants_another_offset_moves_the_partition_and_acknowledges_nothing() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    step.read_on = 7
    step.open[0].set()
    lanes = make_lanes(step, consumer, stream)
    batch = make_batch([40])
    await lanes.submit(event_of(batch))
    await lanes.drain(1)
    assert consumer.sought == [(batch.tp, 7)]
    assert stream.acked == []
    assert not batch.processed


async def test_draining_abandons_what_takes_too_long_and_never_begins_the_rest() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    lanes = make_lanes(step, consumer, stream)
    batches = [make_batch([0]), make_batch([1])]
    for batch in batches:
        await lanes.submit(event_of(batch))
    await asyncio.sleep(0)
    consumer.current = False
    await lanes.drain(0.01)
    assert step.begun == batches[:1]
    assert stream.acked == []


async def test_draining_lets_the_batch_at_work_finish() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    lanes = make_lanes(step, consumer, stream)
    batches = [make_batch([0]), make_batch([1])]
    for batch in batches:
        await lanes.submit(event_of(batch))
    await asyncio.sleep(0)
    consumer.current = False
    step.open[0].set()
    await lanes.drain(5)
    assert stream.acked == batches[:1]


async def test_draining_does_not_wait_for_a_batch_that_only_waits() -> None:
    step, consumer, stream = Gate(), FakeConsumer(), FakeStream()
    lanes = make_lanes(step, consumer, stream)
    batch = make_batch([0])
    await lanes.submit(event_of(batch))
    await asyncio.sleep(0)
    batch.waiting = True
    async with asyncio.timeout(1):
        await lanes.drain(60)
    assert stream.acked == []
