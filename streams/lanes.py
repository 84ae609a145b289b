"""One lane per partition: its batches are processed one after the other, while other partitions go on."""

import asyncio
import time
from collections import deque

import structlog
from faust.types import TP, EventT, StreamT

from schemas.metrics import BATCH_EVENTS, BATCH_SECONDS
from streams.steps import Step
from streams.transport import Batch
from streams.transport.consumer import Consumer

log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class Lanes:
    """Runs a step over the events of a stream; at most `depth` batches of a partition wait or are at work."""

    def __init__(self, name: str, step: Step, consumer: Consumer, stream: StreamT, *, depth: int) -> None:
        self._name = name
        self._step = step
        self._consumer = consumer
        self._stream = stream
        self._depth = depth
        self._waiting: dict[TP, deque[EventT]] = {}
        self._tasks: dict[TP, asyncio.Task[None]] = {}

    async def submit(self, event: EventT) -> None:
        """Put an event, whose value is a batch, at the end of its partition's lane."""
        tp = event.value.tp
        lane = self._waiting.setdefault(tp, deque())
        lane.append(event)
        if len(lane) >= self._depth:
            self._consumer.on_buffer_full(tp)
        if tp not in self._tasks:
            self._begin(tp, lane)

    def read_on(self, tp: TP, offset: int) -> None:
        """Read a partition on from `offset`, as when a batch's answer says so; not while its lane is at work.

        A batch that comes meanwhile waits behind it and is stale then.
        """
        if tp not in self._tasks:
            self._begin(tp, self._waiting.setdefault(tp, deque()), offset)

    def _begin(self, tp: TP, lane: deque[EventT], offset: int | None = None) -> None:
        name = f"{self._name}-{tp.topic}-{tp.partition}"
        self._tasks[tp] = asyncio.create_task(self._run(tp, lane, offset), name=name)

    async def drain(self, timeout_s: float) -> None:
        """Let each lane finish the batch at work; after `timeout_s` it is abandoned, to be read again.

        A batch that only waits is abandoned at once.
        """
        for tp, task in self._tasks.items():
            if self._waiting[tp] and self._waiting[tp][0].value.waiting:
                task.cancel()
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            log.warning("batch_abandoned", agent=self._name, lane=task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _run(self, tp: TP, lane: deque[EventT], offset: int | None) -> None:
        try:
            if offset is not None:
                await self._consumer.seek(tp, offset)
            while lane:
                event = lane[0]
                await self._finish(event)
                lane.popleft()
                if len(lane) < self._depth:
                    self._consumer.on_buffer_drop(tp)
        finally:
            self._waiting.pop(tp, None)
            self._tasks.pop(tp, None)

    async def _finish(self, event: EventT) -> None:
        """Process the event's batch until it succeeds, or is no longer ours to process."""
        batch: Batch = event.value
        pause_s = FIRST_PAUSE_S
        while self._consumer.is_current(batch):
            started = time.perf_counter()
            try:
                read_on = await self._step.process(batch)
            except Exception as error:  # any: the batch must not be lost, and the other partitions go on
                if pause_s == FIRST_PAUSE_S:
                    log.exception("batch_failed", agent=self._name, topic=batch.topic, partition=batch.partition)
                else:
                    log.warning("batch_failed_again", agent=self._name, topic=batch.topic, error=repr(error))
                self._consumer.set_aside(batch)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            BATCH_SECONDS.labels(self._name).observe(time.perf_counter() - started)
            BATCH_EVENTS.labels(self._name).observe(len(batch.records))
            await self._conclude(event, batch, read_on)
            return

    async def _conclude(self, event: EventT, batch: Batch, read_on: int | None) -> None:
        if read_on is not None:
            await self._consumer.seek(batch.tp, read_on)
            return
        batch.processed = True
        await self._stream.ack(event)
