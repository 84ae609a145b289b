"""How every process learns who was erased: it reads the topic `erased-users` from its start, and follows it.

Reading a record twice does no harm. While Kafka is away, those known last stay in force. The key of the hashes is
asked for at the first record: a platform that erased nobody needs none, and no MongoDB, to start.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from ingest_api.erased_list import REQUEST_TIMEOUT_MS, ensure_erased_topic
from schemas.erased import ErasedUser, ErasedUsers
from schemas.kafka import KafkaDsn
from schemas.topics import ERASED_USERS

log = structlog.get_logger()

POLL_MS: Final = 1000
CHUNK: Final = 500  # records at one go, some 2 ms
RETRY_S: Final = 1.0
STOP_TIMEOUT_S: Final = 5.0

_PARTITION: Final = TopicPartition(ERASED_USERS, 0)
_AWAY: Final = (KafkaError, OSError, TimeoutError, PyMongoError)
_decode: Final = msgspec.json.Decoder(ErasedUser).decode


class ErasedFeed:
    """Keeps `erased` as the topic has it, from `start` to `stop`. `find_key`: None where no key was ever made."""

    def __init__(
        self,
        erased: ErasedUsers,
        kafka: KafkaDsn,
        find_key: Callable[[], Awaitable[bytes | None]],
        *,
        replication: int = 1,
    ) -> None:
        self._erased = erased
        self._kafka = kafka
        self._find_key = find_key
        self._replication = replication
        self._has_key = False
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    async def start(self) -> None:
        """Returns when all that was in the topic is known; waits for Kafka, and for the key, as long as need be."""
        self._task = self._task or asyncio.create_task(self._run(), name="erased-feed")
        await self._ready.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=2 * STOP_TIMEOUT_S)  # the client may swallow the cancellation
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except _AWAY as error:
                self._say_lost(error)
            except asyncio.CancelledError as error:
                # aiokafka may pass on the cancellation of its own tasks; that must not end the feed in silence.
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                self._say_lost(error)
            await asyncio.sleep(RETRY_S)

    def _say_lost(self, error: BaseException) -> None:
        if not self._lost:  # once an outage
            log.warning("erased_feed_lost", error=str(error) or type(error).__name__)
        self._lost = True

    async def _follow(self) -> None:
        await ensure_erased_topic(self._kafka, self._replication)
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await consumer.start()
            consumer.assign([_PARTITION])
            await consumer.seek_to_beginning(_PARTITION)
            await self._read(consumer)
        finally:
            # Where its broker is gone, stopping raises the cancellation of the consumer's own fetches.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(consumer.stop(), STOP_TIMEOUT_S)

    async def _read(self, consumer: Any) -> None:
        end = (await consumer.end_offsets([_PARTITION]))[_PARTITION]
        while True:
            if await consumer.position(_PARTITION) >= end:
                self._lost = False
                self._ready.set()
            for records in (await consumer.getmany(_PARTITION, timeout_ms=POLL_MS, max_records=CHUNK)).values():
                await self._take(records)
            await asyncio.sleep(0)  # where there are records, getmany does not give way

    async def _take(self, records: Iterable[Any]) -> None:
        await self._learn_key()
        for record in records:
            try:
                known = self._erased.note(_decode(record.value or b""))
            except (msgspec.MsgspecError, ValueError) as error:
                log.error("erased_record_skipped", offset=record.offset, error=str(error))
                continue
            if not known:
                log.error("erased_user_of_another_key", offset=record.offset)

    async def _learn_key(self) -> None:
        if not self._has_key and (key := await self._find_key()) is not None:
            self._erased.use_key(key)
            self._has_key = True
