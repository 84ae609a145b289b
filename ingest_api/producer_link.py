"""One Kafka producer that is there whenever Kafka is: connects in the background, and is replaced when it fails."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 20.0
FIRST_BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 2.0
FLUSH_TIMEOUT_S: Final = 5.0


class ProducerLink:
    """Keeps one started producer. `make` gives a new one and is called inside the running loop."""

    def __init__(self, make: Callable[[], AIOKafkaProducer]) -> None:
        self._make = make
        self._producer: AIOKafkaProducer | None = None
        self._up = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.since = 0.0

    @property
    def is_up(self) -> bool:
        return self._producer is not None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._spawn(self._connect())

    async def get(self, wait_s: float) -> AIOKafkaProducer:
        """The producer. Raises KafkaConnectionError when there is none within `wait_s` seconds."""
        if self._producer is None:
            try:
                async with asyncio.timeout(wait_s):
                    await self._up.wait()
            except TimeoutError:
                raise KafkaConnectionError("no broker answers") from None
        if self._producer is None:
            raise KafkaConnectionError("the connection broke again")
        return self._producer

    def replace(self, producer: AIOKafkaProducer, why: str) -> None:
        """Give up this producer, with all that it has not sent, and connect anew; at most once for each.

        A producer whose batch failed has a gap in its sequence numbers, so nothing after it would be taken; one that
        got no answer would send its backlog later, after the clients were told that it was not taken.
        """
        if producer is self._producer:
            log.warning("kafka_connection_given_up", why=why)
            self._producer = None
            self._up.clear()
            self._spawn(_abandon(producer))
            self._spawn(self._connect())

    async def stop(self) -> None:
        """Send what is waiting, for at most a few seconds, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(FLUSH_TIMEOUT_S):
                    await producer.flush()
            except TimeoutError:
                log.warning("kafka_flush_unfinished", after_s=FLUSH_TIMEOUT_S)
            await _abandon(producer)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            producer = self._make()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await producer.start()
                break
            except (KafkaError, TimeoutError, OSError) as error:
                if backoff_s == FIRST_BACKOFF_S:  # once an outage
                    log.warning("kafka_unavailable", error=str(error))
                await _abandon(producer)
            except BaseException:
                await _abandon(producer)
                raise
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
        self._producer, self.since = producer, time.monotonic()
        self._up.set()
        log.info("kafka_connected")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Disconnect without the flush of `stop`, which waits as long as Kafka is away."""
    producer._closed = True
    await producer._sender.close()
    await producer.client.close()
