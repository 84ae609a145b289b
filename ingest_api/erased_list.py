"""Tells every process who was erased: the compacted topic `erased-users`, key tenant/hash, value `ErasedUser`.

Promise: when `add` returns, all in-sync replicas have the record; adding the same user again replaces it. The topic
holds keyed hashes and no id.
"""

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.erased import ErasedUser
from schemas.kafka import KafkaDsn
from schemas.topics import ERASED_USERS

REQUEST_TIMEOUT_MS: Final = 5000
TIMEOUT_S: Final = 15.0
CLOSING_S: Final = 2.0
TOPIC_CONFIGS: Final = {"cleanup.policy": "compact", "segment.bytes": str(16 * 1024 * 1024)}


class ErasedList:
    """Connects for each call: erasures are rare."""

    def __init__(self, kafka: KafkaDsn, *, replication: int = 1) -> None:
        self._kafka = kafka
        self._replication = replication

    async def add(self, erased: ErasedUser) -> None:
        """Raises KafkaError, OSError or TimeoutError; the record may be there all the same."""
        await ensure_erased_topic(self._kafka, self._replication)
        options = {**self._kafka.client_options(), "request_timeout_ms": REQUEST_TIMEOUT_MS}
        producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
        key = f"{erased.tenant_id}/{erased.user}".encode()
        try:
            await producer.start()
            async with asyncio.timeout(TIMEOUT_S):
                await producer.send_and_wait(ERASED_USERS, msgspec.json.encode(erased), key=key, partition=0)
        finally:
            with suppress(TimeoutError):  # with Kafka away it would wait for what failed already
                await asyncio.wait_for(producer.stop(), CLOSING_S)


async def ensure_erased_topic(kafka: KafkaDsn, replication: int) -> None:
    """Create the topic where it is absent: one partition, compacted. Raises KafkaError or OSError."""
    admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        if ERASED_USERS in await admin.list_topics():
            return
        answer = await admin.create_topics([NewTopic(ERASED_USERS, 1, replication, topic_configs=TOPIC_CONFIGS)])
        for _, code, *rest in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                error = for_code(code)
                raise error(*rest) if issubclass(error, KafkaError) else KafkaError(error)
    finally:
        await admin.close()
