"""Follows a topic of one partition from its beginning, in order and without a consumer group.

A follower is ready at what was the end when it began, and goes on. It holds one chunk of records and what aiokafka has
fetched ahead, however long the topic is. While Kafka is away it waits, says so once an outage, and then takes the topic
from its beginning again: taking a record twice must do no harm.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka import KafkaDsn
from tracking_configs.compacted_topic import REQUEST_TIMEOUT_MS, started, within

log = structlog.get_logger()

Take = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]

POLL_MS: Final = 1000
PROBE_EVERY_S: Final = 1.5  # a consumer whose broker is away says nothing by itself
PROBE_TIMEOUT_S: Final = 2.5
RETRY_S: Final = 1.0
STOP_TIMEOUT_S: Final = 5.0

_AWAY: Final = (KafkaError, OSError, TimeoutError)


class TopicFollower:
    """Gives `take` every record of a topic, at most `chunk` at one go, from `start` to `stop`.

    `ensure`: makes the topic where it is absent. `away`: errors of `take` that are waited out as an outage of Kafka
    is, with the records that it had not taken; any other error of `take` ends the follower, and `start` raises it.
    `on_following`: told when it has caught up and when it has lost the topic. `name` begins the names of its logs.
    """

    def __init__(
        self,
        kafka: KafkaDsn,
        topic: str,
        take: Take,
        *,
        name: str,
        chunk: int,
        ensure: Callable[[], Awaitable[None]],
        away: tuple[type[Exception], ...] = (),
        on_following: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._kafka = kafka
        self._partition = TopicPartition(topic, 0)
        self._take = take
        self._name = name
        self._chunk = chunk
        self._ensure = ensure
        self._away = (*_AWAY, *away)
        self._on_following = on_following
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._following = False
        self._lost = False

    @property
    def following(self) -> bool:
        """Whether all that the topic held when it was last begun is taken, and Kafka answers."""
        return self._following

    async def start(self) -> None:
        """Returns when all that was in the topic is taken; waits for what is away as long as need be.

        Cancelled where `stop` is called meanwhile.
        """
        task = self._task = self._task or asyncio.create_task(self._run(), name=self._name)
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                task.result()
        finally:
            ready.cancel()

    async def stop(self) -> None:
        """Returns within 2 * STOP_TIMEOUT_S whatever Kafka does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=2 * STOP_TIMEOUT_S)  # the client may swallow the cancellation
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except self._away as error:
                self._say_lost(error)
            except asyncio.CancelledError as error:
                # aiokafka may pass on the cancellation of its own tasks; that must not end the follower in silence.
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                self._say_lost(error)
            finally:
                self._set_following(False)
            await asyncio.sleep(RETRY_S)

    def _say_lost(self, error: BaseException) -> None:
        if not self._lost:  # once an outage
            log.warning(f"{self._name}_lost", error=str(error) or type(error).__name__)
        self._lost = True

    async def _follow(self) -> None:
        await self._ensure()
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        await started(consumer)
        try:
            consumer.assign([self._partition])
            await consumer.seek_to_beginning(self._partition)
            await self._read(consumer)
        finally:
            # Where its broker is gone, stopping raises the cancellation of the consumer's own fetches.
            with contextlib.suppress(TimeoutError):
                await within(STOP_TIMEOUT_S, consumer.stop())

    async def _read(self, consumer: Any) -> None:
        clock = asyncio.get_running_loop().time
        end, probed_at = await self._end(consumer), clock()
        while True:
            if not self._following and await consumer.position(self._partition) >= end:
                self._set_following(True)
                self._ready.set()
            batches = await consumer.getmany(self._partition, timeout_ms=POLL_MS, max_records=self._chunk)
            for records in batches.values():
                await self._take(records)
            await asyncio.sleep(0)  # where there are records, getmany does not give way
            if clock() - probed_at > PROBE_EVERY_S:
                await self._end(consumer)
                probed_at = clock()

    async def _end(self, consumer: Any) -> int:
        end: int = (await within(PROBE_TIMEOUT_S, consumer.end_offsets([self._partition])))[self._partition]
        return end

    def _set_following(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self._lost = self._lost and not following
            self._on_following(following)
