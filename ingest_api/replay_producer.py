"""Sends replayed events to a tenant's raw topic.

Promise: an event that is not among the failed ones is on all in-sync replicas; a failed one may be there all the
same. Sending it again is harmless while its event_id is the same: whoever counts events counts it once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingest_api.letters import Place
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic

REPLAY_HEADER: Final = "millrace-replay"  # of a raw record: the place of the letter that it replays
TIMEOUT_S: Final = 30.0
REQUEST_TIMEOUT_MS: Final = 10_000
CLOSING_S: Final = 2.0


class Replay(NamedTuple):
    """An event to send, and the letter it comes from. `key` is the user's id, where it names one."""

    place: Place
    key: bytes | None
    value: bytes


class Sender(Protocol):
    """What the replay needs of a producer."""

    async def send(self, tenant: str, replays: Sequence[Replay]) -> dict[Place, Exception]: ...


class ReplayProducer:
    """Connects for each call: replays are rare."""

    def __init__(self, kafka: KafkaDsn) -> None:
        self._kafka = kafka

    async def send(self, tenant: str, replays: Sequence[Replay]) -> dict[Place, Exception]:
        """Send in order; answers those that failed, and why.

        Raises KafkaError, OSError or TimeoutError where no broker answers: none was sent.
        """
        if not replays:
            return {}
        producer = AIOKafkaProducer(
            **self._kafka.client_options(),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=5,
            max_request_size=2 * 1024 * 1024,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await producer.start()
            return await _send_all(producer, raw_topic(tenant), replays)
        finally:
            with suppress(TimeoutError):  # with Kafka away it would wait for what failed already
                await asyncio.wait_for(producer.stop(), CLOSING_S)


async def _send_all(producer: AIOKafkaProducer, topic: str, replays: Sequence[Replay]) -> dict[Place, Exception]:
    failed: dict[Place, Exception] = {}
    deliveries: dict[Place, asyncio.Future[object]] = {}
    ends_at = asyncio.get_running_loop().time() + TIMEOUT_S
    for replay in replays:
        headers = [(REPLAY_HEADER, str(replay.place).encode())]
        try:
            async with asyncio.timeout_at(ends_at):
                deliveries[replay.place] = await producer.send(topic, replay.value, key=replay.key, headers=headers)
        except (KafkaError, TimeoutError) as error:
            failed[replay.place] = error
    for place, delivery in deliveries.items():
        try:
            async with asyncio.timeout_at(ends_at):
                await asyncio.shield(delivery)
        except (KafkaError, TimeoutError) as error:
            failed[place] = error
    return failed
