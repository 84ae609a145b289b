"""Sweeps against a sink and a shipper that answer as they are told."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.features.closing import Closed, Summary
from streams.features.errors import SinkUnavailable
from streams.features.watermark import DELIVERY_MS, Closing
from streams.session_sweep import SessionSweep
from streams.session_watch import SessionWatch
from streams.transport.view import Standing
from tests.factories import NOON

ONE, OTHER = TP("user-behaviors-acme", 0), TP("user-behaviors-acme", 1)
NOTHING = Closed(0, False, None, [])
CLOSING = Closing()
MARK = NOON - CLOSING.idle_ms - DELIVERY_MS


def summaries(*sequences: str) -> list[Summary]:
    return [Summary(sequence, "u1", {}) for sequence in sequences]


class FakeSink:
    closing = CLOSING

    def __init__(self, *answers: Closed | Exception | None) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[Any, ...]] = []

    async def close_sessions(
        self, tenant: str, partition: int, epoch: int, *, mark: int = 0, shipped: str = "", most: int = 500
    ) -> Closed | None:
        self.calls.append((tenant, partition, epoch, mark, shipped))
        answer = self.answers.pop(0) if self.answers else NOTHING
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeShipper:
    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[list[str], str | None]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def ship(self, tenant: str, partition: int, outbox: Sequence[Summary], shipped: str | None) -> str:
        self.calls.append(([each.sequence for each in outbox], shipped))
        await self.gate.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return outbox[-1].sequence


class FakeView:
    """Owns both partitions; reads to position 5 of `end`."""

    def __init__(self, end: int = 5, busy: Collection[TP] = ()) -> None:
        self.end, self.busy = end, set(busy)

    def owned(self) -> set[TP]:
        return {ONE, OTHER}

    def idle(self) -> set[TP]:
        return self.owned() - self.busy

    async def standings(self) -> Mapping[TP, Standing]:
        return dict.fromkeys(self.owned(), Standing(5, 5, NOON))

    async def ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        return dict.fromkeys(tps, self.end)


class Stage:
    """A sweep over partition ONE, begun in epoch 4, whose first look is done."""

    def __init__(self, sink: FakeSink, shipper: FakeShipper | None = None) -> None:
        self.seconds = 0.0
        self.sink, self.shipper = sink, shipper or FakeShipper()
        self.watch = SessionWatch(monotonic=lambda: self.seconds)
        self.sweeps = SessionSweep(sink, self.shipper, self.watch, quiet_s=30, clock=lambda: NOON)
        self.watch.begin(ONE, 4)

    async def sweep(self, view: FakeView | None = None) -> None:
        await self.sweeps.sweep(view or FakeView())  # type: ignore[arg-type]


async def test_what_an_earlier_owner_left_is_shipped_first_and_only_then_trimmed() -> None:
    stage = Stage(FakeSink(Closed(0, False, None, summaries("1-0", "1-1"))))
    await stage.sweep()
    assert stage.shipper.calls == [(["1-0", "1-1"], None)]
    assert [call[-1] for call in stage.sink.calls] == ["", "1-1"]


async def test_it_goes_on_while_there_is_more() -> None:
    more = Closed(1, True, None, summaries("2-0"))
    stage = Stage(FakeSink(Closed(1, True, None, summaries("1-0")), more, Closed(0, True, None, [])))
    await stage.sweep()
    assert stage.shipper.calls == [(["1-0"], None), (["2-0"], "1-0")]
    assert len(stage.sink.calls) == 4


async def test_only_partitions_are_asked_for_of_which_a_batch_said_so() -> None:
    stage = Stage(FakeSink())
    await stage.sweep()
    stage.watch.applied(ONE, to_close=False)
    await stage.sweep()
    assert len(stage.sink.calls) == 1
    stage.watch.applied(ONE, to_close=True)
    await stage.sweep()
    assert stage.sink.calls[1:] == [("acme", 0, 4, 0, "")]


async def test_after_a_failure_what_is_there_is_asked_of_the_topic_again() -> None:
    full = Closed(0, False, None, summaries("1-0"))
    stage = Stage(FakeSink(full, full), FakeShipper(KafkaConnectionError()))
    await stage.sweep()
    await stage.sweep()
    assert stage.shipper.calls == [(["1-0"], None), (["1-0"], None)]


async def test_a_store_that_is_away_is_asked_again() -> None:
    stage = Stage(FakeSink(SinkUnavailable("acme", "away"), NOTHING))
    await stage.sweep()
    await stage.sweep()
    assert len(stage.sink.calls) == 2


async def test_a_partition_of_a_later_owner_is_left_alone() -> None:
    stage = Stage(FakeSink(None))
    await stage.sweep()
    await stage.sweep()
    assert len(stage.sink.calls) == 1


async def test_a_quiet_partition_goes_by_the_clock_when_its_next_session_is_due() -> None:
    stage = Stage(FakeSink(Closed(0, False, MARK + 1, []), Closed(0, False, MARK - 1, []), NOTHING))
    await stage.sweep()
    stage.watch.applied(ONE, to_close=False)
    stage.seconds = 31
    await stage.sweep()
    assert stage.sink.calls[1:] == [("acme", 0, 4, MARK, "")], "nobody has looked since its last events"
    await stage.sweep()
    assert len(stage.sink.calls) == 3, "the next one was passed"
    await stage.sweep()
    assert len(stage.sink.calls) == 3, "nothing is open"


async def test_the_clock_moves_nothing_while_there_is_something_to_read_or_at_work() -> None:
    stage = Stage(FakeSink())
    await stage.sweep()
    stage.watch.applied(ONE, to_close=False)
    stage.seconds = 31
    await stage.sweep(FakeView(end=6))
    await stage.sweep(FakeView(busy=[ONE]))
    assert len(stage.sink.calls) == 1
    await stage.sweep(FakeView())
    assert len(stage.sink.calls) == 2


async def test_a_drain_lets_the_step_at_work_finish_and_begins_no_other() -> None:
    full = Closed(0, True, None, summaries("1-0"))
    stage = Stage(FakeSink(full, full))
    stage.shipper.gate.clear()
    sweeping = asyncio.create_task(stage.sweep())
    await asyncio.sleep(0.01)
    draining = asyncio.create_task(stage.sweeps.drain(20))
    await asyncio.sleep(0.01)
    stage.shipper.gate.set()
    await asyncio.gather(sweeping, draining)
    assert (len(stage.sink.calls), len(stage.shipper.calls)) == (1, 1)
    assert stage.watch.due([ONE]) == [ONE]


async def test_a_drain_abandons_what_takes_longer() -> None:
    stage = Stage(FakeSink(Closed(0, True, None, summaries("1-0"))))
    stage.shipper.gate.clear()
    sweeping = asyncio.create_task(stage.sweep())
    await asyncio.sleep(0.01)
    await stage.sweeps.drain(0.01)
    await sweeping
    assert len(stage.sink.calls) == 1
