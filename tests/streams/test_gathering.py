"""Batches of many partitions become one insert; fences and acknowledgements keep their order."""

import asyncio
from collections import defaultdict

import pytest

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.verdict import Code, Issue
from streams import gathering
from streams.gathering import Gatherer
from streams.rows import Rows
from streams.transport import Batch
from tests.streams.fakes import FakeConsumer, FakeRecord, FakeStream, batch_of, event_of


class Table:
    """A sink that notes calls in order; inserts wait for their gate, the first `failures` of them fail."""

    def __init__(self) -> None:
        self.inserted: list[list[Batch]] = []
        self.fenced: list[list[Batch]] = []
        self.gates: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.failures = 0

    async def insert(self, batches: list[Batch], rows: list[Rows]) -> None:
        self.inserted.append(batches)
        await self.gates[batches[0].first_offset].wait()
        if self.failures:
            self.failures -= 1
            raise ValueError("not now")

    async def move_fences(self, batches: list[Batch]) -> None:
        self.fenced.append(batches)


def letters(first: int, count: int, partition: int = 0) -> Batch:
    value = encode_dead_letter(
        dead_letter(b"x", (Issue("", Code.EMPTY, "no"),), topic="t", partition=0, offset=0, timestamp=1)
    )
    topic = "rejected-behaviors-acme"
    return batch_of(*(FakeRecord(n, value, topic=topic, partition=partition) for n in range(first, first + count)))


def make_gatherer(table: Table, stream: FakeStream, consumer: FakeConsumer | None = None, **bounds: float) -> Gatherer:
    defaults = {"rows_per_insert": 10, "max_rows": 100, "interval_s": 60.0}
    return Gatherer("test", table, consumer or FakeConsumer(), stream, **(defaults | bounds))  # type: ignore[arg-type]


async def test_batches_of_several_partitions_go_in_one_insert() -> None:
    table, stream = Table(), FakeStream()
    gatherer = make_gatherer(table, stream)
    table.gates[0].set()
    batches = [letters(0, 4, partition=0), letters(50, 4, partition=1), letters(4, 4, partition=0)]
    for batch in batches:
        await gatherer.submit(event_of(batch))
    await stream.wait_for(3)
    assert table.inserted == table.fenced == [batches]
    assert all(batch.processed for batch in batches)


async def test_a_group_of_few_large_rows_goes_by_its_bytes() -> None:
    table, stream = Table(), FakeStream()
    batches = [letters(0, 3), letters(3, 3)]
    held = sum(len(record.value or b"") for record in batches[0].records)
    gatherer = make_gatherer(table, stream, bytes_per_insert=held + 1)
    table.gates[0].set()
    for batch in batches:
        await gatherer.submit(event_of(batch))
    await stream.wait_for(2)
    assert table.inserted == [batches], "not after the first, and before the tenth row"


async def test_a_group_that_is_not_full_goes_when_it_is_old() -> None:
    table, stream = Table(), FakeStream()
    gatherer = make_gatherer(table, stream, interval_s=0.01)
    table.gates[0].set()
    await gatherer.submit(event_of(letters(0, 1)))
    await stream.wait_for(1)


async def test_a_later_group_never_moves_the_fence_before_an_earlier_one() -> None:
    table, stream = Table(), FakeStream()
    gatherer = make_gatherer(table, stream)
    first, second = letters(0, 10), letters(10, 10)
    table.gates[10].set()
    for batch in (first, second):
        await gatherer.submit(event_of(batch))
    await asyncio.sleep(0.01)
    assert table.inserted == [[first], [second]]
    assert table.fenced == []
    table.gates[0].set()
    await stream.wait_for(2)
    assert table.fenced == [[first], [second]]
    assert stream.acked == [first, second]


async def test_a_group_that_fails_comes_again_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "RETRY_PAUSE_S", 0.001)
    table, stream = Table(), FakeStream()
    table.failures = 2
    for offset in (0, 10):
        table.gates[offset].set()
    gatherer = make_gatherer(table, stream)
    for batch in (letters(0, 10), letters(10, 10)):
        await gatherer.submit(event_of(batch))
    await stream.wait_for(2)
    assert [batches[0].first_offset for batches in table.fenced] == [0, 10]


async def test_what_is_held_is_bounded() -> None:
    table, stream = Table(), FakeStream()
    gatherer = make_gatherer(table, stream, max_rows=20)
    for first in (0, 10):
        await gatherer.submit(event_of(letters(first, 10)))
    third = asyncio.create_task(gatherer.submit(event_of(letters(20, 10))))
    await asyncio.sleep(0.01)
    assert not third.done()
    table.gates[0].set()
    await third
    for offset in (10, 20):
        table.gates[offset].set()
    await stream.wait_for(3)


async def test_draining_writes_what_was_gathered() -> None:
    table, stream = Table(), FakeStream()
    table.gates[0].set()
    gatherer = make_gatherer(table, stream)
    await gatherer.submit(event_of(letters(0, 3)))
    await gatherer.drain(5)
    assert len(stream.acked) == 1


async def test_draining_abandons_what_takes_too_long() -> None:
    table, stream = Table(), FakeStream()
    gatherer = make_gatherer(table, stream)
    for first in (0, 10):
        await gatherer.submit(event_of(letters(first, 10)))
    table.gates[10].set()
    await gatherer.drain(0.01)
    assert table.fenced == []
    assert stream.acked == []


async def test_batches_of_a_partition_that_was_taken_away_are_left_out() -> None:
    table, stream, consumer = Table(), FakeStream(), FakeConsumer()
    gatherer = make_gatherer(table, stream, consumer)
    await gatherer.submit(event_of(letters(0, 3)))
    consumer.current = False
    await gatherer.drain(5)
    assert table.inserted == []
