"""The consumer: fetches become batches, acknowledgements become commits, assignments become seeks."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage

from streams.transport.batch import Batch
from streams.transport.ledger import Ledger
from streams.transport.options import options_of
from streams.transport.placing import Placer
from streams.transport.thread import ConsumerThread
from streams.transport.view import Standing, View

log = structlog.get_logger()

IDLE_WAIT_S = 1.0
DRAIN_POLL_S = 0.05
FINISHING_POLL_S = 0.005
FINISHING_SHARE = 5  # of the rebalance timeout; the app's own hook and the last commit want their time too
COMMITTING_S = 1.0  # of the last commit before partitions are let go


@dataclass(frozen=True, slots=True)
class Left:
    """Where each partition was left that was finished before a rebalance, and in which generation of the group."""

    offsets: Mapping[TP, int] = field(default_factory=dict)
    generation: int = -1

    def kept(self, generation: int) -> Mapping[TP, int]:
        """In the very next generation nobody else can have read them meanwhile: they go on where they were left."""
        return self.offsets if generation == self.generation + 1 else {}


class Consumer(FaustConsumer):  # type: ignore[misc]  # Faust is untyped here
    """One message a fetch and partition; the differences to Faust's own consumer are listed in the package."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        transport = args[0] if args else kwargs["transport"]
        self.options = options_of(transport.app)
        self.ledger = Ledger(self.options.tenant_of)
        super().__init__(*args, **kwargs)
        self.view = View(self)
        self._left = Left()
        self._placer = Placer(self._thread, self.options, lambda tp: self.resume_partitions({tp}), self.crash)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # Fetching.

    async def _drain_messages(self, fetcher: Any) -> None:
        """The fetcher's loop: hand out batches until the consumer or the fetcher stops."""
        while not (self.should_stop or fetcher.should_stop):
            try:
                async for _, message in self.getmany(IDLE_WAIT_S):
                    await self.wait_first(self.callback(message), self.suspend_flow.wait())
            except self.consumer_stopped_errors:
                if self.app.should_stop:
                    return
                raise

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 (Faust's)
        """One message per partition that has records and whose agent has room."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        for fetched in await self._thread.fetch(timeout):
            batch = Batch(fetched.tp, fetched.records, fetched.epoch, fetched.place)
            if self.is_current(batch):
                yield fetched.tp, self._to_message(fetched.tp, batch)

    def is_wanted(self, tp: TP) -> bool:
        """Whether a partition's agent has room, and the partition has its place. Called from the thread."""
        return tp in self._get_active_partitions()

    def _to_message(self, tp: TP, record: Batch) -> ConsumerMessage:
        """The message of one batch, which is in flight from here on."""
        self.ledger.add(record)
        last = record.records[-1]
        return ConsumerMessage(
            *(tp.topic, tp.partition, last.offset, last.timestamp / 1000, last.timestamp_type),
            *([], None, record, None, None, None, tp),
            generation_id=record.epoch,
        )

    def is_ours(self, batch: Batch) -> bool:
        """Whether the batch's partition is still ours, in the same generation, and was not moved since."""
        return batch.epoch == self.app.consumer_generation_id and batch.place == self._thread.places.get(batch.tp)

    def set_aside(self, batch: Batch) -> None:
        """The batch fails and is tried again: meanwhile it counts as none of its tenant's work."""
        if self.is_ours(batch):
            self.ledger.set_aside(batch.tp)
            self._thread.wake()

    def is_current(self, batch: Batch) -> bool:
        """Whether work on the batch may begin: it is ours, and no rebalance is being prepared."""
        return self.flow_active and self.is_ours(batch)

    def on_buffer_drop(self, tp: TP) -> None:
        """Read a partition again whose agent has room."""
        super().on_buffer_drop(tp)
        if tp in self._paused_partitions:  # Faust reads it all the same
            self._get_active_partitions().discard(tp)
        self._thread.wake()

    def resume_partitions(self, tps: Any) -> None:
        super().resume_partitions(tps)
        self._thread.wake()

    def resume_flow(self) -> None:
        super().resume_flow()
        self._thread.wake()

    # Acknowledging.

    def ack(self, message: ConsumerMessage) -> bool:
        """Faust's acknowledgement. It also acknowledges what it skips, so `processed` decides."""
        message.acked = True
        self._unacked_messages.discard(message)
        batch: Batch = message.value
        finished = batch.processed and self.ledger.finish(batch)
        self._thread.wake()
        return finished

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the finished prefix of every partition."""
        offsets = self.ledger.committable()
        if not offsets or not await self._commit(offsets):
            return False
        self.ledger.committed(offsets)
        return True

    async def wait_empty(self) -> None:
        """Let the batches at work finish, for a bounded time, then commit; what is abandoned is read again."""
        await self._drain()
        try:
            async with asyncio.timeout(COMMITTING_S):
                if self._commit_fut is not None:
                    # Not by Faust's own method, which takes the end of the time for the end of that commit.
                    await asyncio.wait({self._commit_fut})
                await self.force_commit()
        except TimeoutError:  # Kafka is away; what it was not told is read again
            log.warning("commit_abandoned", group=self.app.conf.id, partitions=len(self.ledger.committable()))

    async def _drain(self) -> None:
        if self.options.drain is not None:
            await self.options.drain()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.rebalance_timeout_s / 2):
                while self._unacked_messages:  # noqa: ASYNC110 - a set tells nobody that it is empty
                    await asyncio.sleep(DRAIN_POLL_S)

    # Assignments and seeks.

    @property
    def placed(self) -> asyncio.Event:
        """Set while every assigned partition has been put where its sink wants it."""
        return self._placer.placed

    @property
    def unplaced(self) -> set[TP]:
        """Partitions that are not read yet, or are held."""
        return self._placer.unplaced

    async def standings(self) -> Mapping[TP, Standing]:
        """See `View.standings`."""
        return await self._thread.standings()

    async def ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """See `View.ends`."""
        return await self._thread.ends(tps)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what was handed out, commit, and only then forget (Faust forgets first)."""
        self._placer.stop()
        self.pause_partitions(revoked)
        await self._finish()
        await super().on_partitions_revoked(revoked)
        left_at = {tp: offset for tp in revoked if (offset := self.ledger.finished_to(tp)) is not None}
        self._left = Left(left_at, self.app.consumer_generation_id)
        for tp in revoked:
            self.ledger.forget(tp)
            self._thread.forget(tp)

    async def _finish(self) -> None:
        """Wait a bounded time for the batches at work and those that wait for them; what is left is dropped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.rebalance_timeout_s / FINISHING_SHARE):
                while self.ledger.at_work:  # noqa: ASYNC110 - a counter tells nobody that it is empty
                    await asyncio.sleep(FINISHING_POLL_S)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await super().on_partitions_assigned(assigned, generation_id)
        if not assigned:  # Faust seeks only where there is something to seek
            self.placed.set()

    async def perform_seek(self) -> None:
        """Begin to place the assigned partitions; each is read as soon as it has its place."""
        tps = self.assignment()
        for tp in tps:
            self.ledger.forget(tp)
        self._buffered_partitions.clear()
        self.pause_partitions(tps)
        generation, left, self._left = self.app.consumer_generation_id, self._left, Left()
        self._placer.begin(tps, generation, left.kept(generation))

    async def seek(self, partition: TP, offset: int) -> None:
        """Read `partition` on from `offset`; its batches in flight become stale and are never committed."""
        self.ledger.forget(partition)
        if await self._thread.place(partition, offset):
            self.ledger.forget(partition)  # what was handed out while the thread was at it
            log.info("partition_moved", topic=partition.topic, partition=partition.partition, offset=offset)

    def log_restarted(self, tp: TP, first_offset: int) -> None:
        """Called by the thread: the partition has records before the place where it was read."""
        if tp in self.assignment():
            self.pause_partitions({tp})
            self.ledger.forget(tp)
            self._placer.log_restarted(tp, first_offset, self.app.consumer_generation_id)

    async def verify_all_partitions_active(self) -> None:
        """Faust's livelock alarm reads one message as one event and cries wolf over batches; lag is a metric."""

    async def on_stop(self) -> None:
        self._placer.stop()
        await super().on_stop()
