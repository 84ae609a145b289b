"""How every process learns who was erased: it reads the topic `erased-users` from its start, and follows it.

Reading a record twice does no harm. While Kafka is away, those known last stay in force. The key of the hashes is
asked for at the first record: a platform that erased nobody needs none, and no MongoDB, to start.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog
from aiokafka import ConsumerRecord
from pymongo.errors import PyMongoError

from ingest_api.erased_list import ensure_erased_topic
from schemas.erased import ErasedUser, ErasedUsers
from schemas.kafka import KafkaDsn
from schemas.topics import ERASED_USERS
from tracking_configs.topic_follower import TopicFollower

log = structlog.get_logger()

CHUNK: Final = 500  # records at one go, some 2 ms

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
        self._find_key = find_key
        self._has_key = False
        self._follower = TopicFollower(
            kafka,
            ERASED_USERS,
            self._take,
            name="erased_feed",
            chunk=CHUNK,
            ensure=lambda: ensure_erased_topic(kafka, replication),
            away=(PyMongoError,),
        )

    async def start(self) -> None:
        """Returns when all that was in the topic is known; waits for Kafka, and for the key, as long as need be."""
        await self._follower.start()

    async def stop(self) -> None:
        await self._follower.stop()

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
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
