"""Where partitions are read from: each is put at its offset, and is read as soon as it has one.

A partition that this worker had in the generation before goes on where it was left. Else the sink's own fence comes
first, then what the group has committed, then the earliest record. A log that has begun
anew (its topic was deleted and made again, or lost records in an election) has records before the place where its
partition was read, under offsets that the sink takes for done. They cannot be told from a replay, so a partition
whose sink has a fence is held: not read, said once as an error, counted in `held`, and read on as soon as the sink
gives another answer. Without a fence it is read from its beginning.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

import structlog
from faust.types import TP

from streams.transport.options import TransportOptions
from streams.transport.thread import ConsumerThread

log = structlog.get_logger()

PLACING_RETRY_S = 1.0
HELD_RETRY_S = 2.0


class Placer:
    """Places partitions, none waiting for another. It belongs to the app's event loop.

    `read` is called with a partition that has its place, `crash` with an error of the app's own hook. `placed` is set
    while every assigned partition has its place; a held one does not count.
    """

    def __init__(
        self,
        thread: ConsumerThread,
        options: TransportOptions,
        read: Callable[[TP], None],
        crash: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        self._thread = thread
        self._where = options.where
        self._on_held = options.on_held
        self._read = read
        self._crash = crash
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: set[TP] = set()
        self.placed = asyncio.Event()
        self.held: set[TP] = set()

    def begin(self, tps: Collection[TP], epoch: int, kept: Mapping[TP, int]) -> None:
        """Place partitions that were assigned in generation `epoch` of the group, those in `kept` where that says."""
        self.placed.clear()
        self._pending.update(tps)
        self._run(self._place_all(set(tps), epoch, kept))

    def log_restarted(self, tp: TP, first_offset: int, epoch: int) -> None:
        """A partition's first record is now one before the place where it was read."""
        log.warning("log_restarted", topic=tp.topic, partition=tp.partition, first_offset=first_offset)
        self._run(self._place_anew(tp, epoch))

    @property
    def unplaced(self) -> set[TP]:
        """The partitions that wait for their place, or are held."""
        return self._pending | self.held

    def stop(self) -> None:
        """Nothing is assigned any more."""
        for task in self._tasks:
            task.cancel()
        self._pending.clear()
        self.placed.clear()
        self._hold(set())

    async def _place_all(self, tps: set[TP], epoch: int, kept: Mapping[TP, int]) -> None:
        await asyncio.gather(*(self._place(tp, kept[tp]) for tp in tps & kept.keys()))
        new = tps - kept.keys()
        wanted = await self._where(new, epoch) if self._where is not None and new else {}
        await asyncio.gather(*(self._place(tp, wanted.get(tp)) for tp in new))
        if not self._pending:
            self.placed.set()

    async def _place(self, tp: TP, offset: int | None) -> None:
        """Retries until Kafka answers; a partition that was deleted holds up nobody but itself."""
        failing = False
        while offset is None:
            try:
                offset = await self._thread.start_offset(tp)
            except Exception as error:  # whatever Kafka's answer was, the partition stays paused until it is a good one
                if not failing:
                    log.warning("placing_failed", topic=tp.topic, partition=tp.partition, error=repr(error))
                failing = True
                await asyncio.sleep(PLACING_RETRY_S)
        if await self._thread.place(tp, offset):
            self._read(tp)
        self._pending.discard(tp)

    async def _place_anew(self, tp: TP, epoch: int) -> None:
        refused = await self._wanted(tp, epoch)
        wanted = refused
        if refused is not None:
            log.error("partition_held", topic=tp.topic, partition=tp.partition, wanted=refused)
            self._hold(self.held | {tp})
            while (wanted := await self._wanted(tp, epoch)) == refused:  # noqa: ASYNC110 - a store is asked
                await asyncio.sleep(HELD_RETRY_S)
            self._hold(self.held - {tp})
            log.info("partition_released", topic=tp.topic, partition=tp.partition, wanted=wanted)
        await self._place(tp, wanted or 0)

    async def _wanted(self, tp: TP, epoch: int) -> int | None:
        return (await self._where({tp}, epoch)).get(tp) if self._where is not None else None

    def _hold(self, held: set[TP]) -> None:
        self.held = held
        if self._on_held is not None:
            self._on_held(len(held))

    def _run(self, placing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guard(placing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, placing: Coroutine[Any, Any, None]) -> None:
        try:
            await placing
        except Exception as error:
            await self._crash(error)
            raise
