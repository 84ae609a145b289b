"""Tells every process who was erased: the compacted topic `erased-users`, key tenant/hash, value `ErasedUser`.

Promise: when `add` returns, all in-sync replicas have the record; adding the same user again replaces it. The topic
holds keyed hashes and no id.
"""

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from schemas.erased import ErasedUser
from schemas.kafka import KafkaDsn
from schemas.topics import ERASED_USERS
from tracking_configs.compacted_topic import REQUEST_TIMEOUT_MS, ensure_compacted_topic

TIMEOUT_S: Final = 15.0
CLOSING_S: Final = 2.0
TOPIC_CONFIGS: Final = {"segment.bytes": str(16 * 1024 * 1024)}


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
    """Create the topic where it is absent. Raises KafkaError or OSError."""
    await ensure_compacted_topic(kafka, ERASED_USERS, replication, TOPIC_CONFIGS)
