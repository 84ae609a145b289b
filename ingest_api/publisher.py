"""Events into the tenants' raw topics.

Promise: `publish` returns once all in-sync replicas have the event. Until then nothing is reported as taken; where
Kafka gave no answer in time, BrokerUnavailable says whether the event may have been taken all the same.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError

from ingest_api.errors import BrokerUnavailable
from ingest_api.producer_link import ProducerLink
from ingest_api.tenant_topics import TenantTopics, TopicSettings
from schemas.kafka import KafkaDsn
from schemas.topics import SOURCE_HEADER, raw_topic

TRACE_HEADER: Final = "traceparent"
RECONNECT_WAIT_S: Final = 0.5  # how long an event waits for a connection that is being made
RETRY_AFTER_S: Final = 2
MAX_BATCH_BYTES: Final = 256 * 1024  # holds several of the largest events
PROBE_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """`deadline_s` bounds one publish. `max_pending` bounds the events in this process's hands: above it, 503."""

    deadline_s: float = 3.0
    linger_ms: int = 2
    max_pending: int = 10_000
    topics: TopicSettings = field(default_factory=TopicSettings)


class Publisher(Protocol):
    """What the doors need of a publisher."""

    async def publish(
        self, tenant: str, user_id: str, value: bytes, source: str, traceparent: str | None = None
    ) -> None: ...

    async def check(self, tenant: str) -> None: ...

    def knows(self, tenant: str) -> bool: ...

    async def is_available(self) -> bool: ...


class EventPublisher:
    """The publisher over one idempotent Kafka producer. Constructing it does no I/O; `start` and `stop` it."""

    def __init__(self, kafka: KafkaDsn, settings: PublisherSettings | None = None) -> None:
        self._kafka = kafka
        self._settings = settings or PublisherSettings()
        self._topics = TenantTopics(kafka, self._settings.topics, request_timeout_s=self._settings.deadline_s)
        self._link = ProducerLink(self._make_producer)
        self._pending = 0
        self._acknowledged_at = 0.0

    async def start(self) -> None:
        """Begin to connect. Does not wait: a door that starts before Kafka answers 503 until Kafka is there."""
        self._link.start()

    async def stop(self) -> None:
        """Wait for the events in flight, a few seconds at most, and disconnect."""
        await self._link.stop()

    def knows(self, tenant: str) -> bool:
        """Whether the tenant's topic was seen."""
        return self._topics.knows(tenant)

    async def publish(
        self, tenant: str, user_id: str, value: bytes, source: str, traceparent: str | None = None
    ) -> None:
        """Returns once the event is acknowledged. Raises BrokerUnavailable or TenantUnknown."""
        if self._pending >= self._settings.max_pending:
            raise BrokerUnavailable(RETRY_AFTER_S, "too many events are waiting for Kafka")
        headers = [(SOURCE_HEADER, source.encode())]
        if traceparent is not None:
            headers.append((TRACE_HEADER, traceparent.encode()))
        self._pending += 1
        try:
            await self._send(tenant, key=user_id.encode(), value=value, headers=headers)
        finally:
            self._pending -= 1

    async def check(self, tenant: str) -> None:
        """Raises TenantUnknown where `publish` would, BrokerUnavailable where that cannot be known."""
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                await self._topics.check(tenant)
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerUnavailable(RETRY_AFTER_S, "Kafka does not answer") from error

    async def is_available(self) -> bool:
        """Whether a broker answers now."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                producer = await self._link.get(RECONNECT_WAIT_S)
                return bool(await producer.client.force_metadata_update())
        except (KafkaError, TimeoutError, OSError):
            return False

    async def _send(self, tenant: str, **record: Any) -> None:
        producer: AIOKafkaProducer | None = None
        in_hand = False  # of the producer: from here on it may reach Kafka, whatever we do
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                producer = await self._link.get(RECONNECT_WAIT_S)
                await self._topics.ensure(tenant)
                delivery = await producer.send(raw_topic(tenant), **record)
                in_hand = True
                await delivery
            self._acknowledged_at = time.monotonic()
        except (KafkaError, TimeoutError, OSError) as error:
            if isinstance(error, UnknownTopicOrPartitionError):
                self._topics.forget(tenant)
            if producer is not None and self._is_broken(error, in_hand):
                self._link.replace(producer, why=str(error) or "no answer in time")
            unknown = in_hand and isinstance(error, TimeoutError | KafkaConnectionError)
            raise BrokerUnavailable(RETRY_AFTER_S, "Kafka does not answer", outcome_unknown=unknown) from error

    def _is_broken(self, error: Exception, in_hand: bool) -> bool:
        """A failed batch ends its producer; so does silence, unless other events were acknowledged meanwhile."""
        if isinstance(error, KafkaError):
            return in_hand
        heard_at = max(self._acknowledged_at, self._link.since)
        return time.monotonic() - heard_at >= self._settings.deadline_s

    def _make_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=self._settings.linger_ms,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(self._settings.deadline_s * 1000),
            client_id="millrace-door",
            **self._kafka.client_options(),
        )
