"""The raw topics that exist, and making a tenant's when its first event comes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ingest_api.errors import TenantUnknown
from schemas.kafka import KafkaDsn
from schemas.topics import RAW_PREFIX, raw_topic, tenant_of

log = structlog.get_logger()

RETENTION_MS: Final = 7 * 24 * 3600 * 1000
REFRESH_S: Final = 1.0  # a stream of unknown tenants asks Kafka for its topics no more often


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How raw topics are made, and for whom. `open_tenants`: an event may make its tenant."""

    partitions: int = 12
    replication: int = 1
    max_tenants: int = 1000
    open_tenants: bool = True


class TenantTopics:
    """Which tenants have a raw topic. A topic is never made twice, whoever else makes it meanwhile."""

    def __init__(self, kafka: KafkaDsn, settings: TopicSettings, *, request_timeout_s: float) -> None:
        self._settings = settings
        self._options: dict[str, Any] = {
            **kafka.client_options(),
            "request_timeout_ms": int(request_timeout_s * 1000),
            "client_id": "millrace-door",
        }
        self._known: set[str] = set()
        self._refreshed_at = -REFRESH_S
        self._lock = asyncio.Lock()

    def knows(self, tenant: str) -> bool:
        """Whether the tenant's topic was seen."""
        return tenant in self._known

    def forget(self, tenant: str) -> None:
        """The tenant's topic turned out to be gone."""
        self._known.discard(tenant)

    async def ensure(self, tenant: str) -> None:
        """The tenant's topic exists afterwards. Raises TenantUnknown, or KafkaError when no broker answers."""
        if tenant in self._known:
            return
        async with self._lock:
            await self._check(tenant)
            if tenant not in self._known:
                await self._make(tenant)
                self._known.add(tenant)

    async def check(self, tenant: str) -> None:
        """As `ensure`, but makes nothing."""
        if tenant not in self._known:
            async with self._lock:
                await self._check(tenant)

    async def _check(self, tenant: str) -> None:
        if tenant not in self._known and time.monotonic() - self._refreshed_at >= REFRESH_S:
            async with self._admin() as admin:
                topics = await admin.list_topics()
            self._known = {name for topic in topics if (name := tenant_of(topic, RAW_PREFIX)) is not None}
            self._refreshed_at = time.monotonic()
        if tenant in self._known:
            return
        if not self._settings.open_tenants:
            raise TenantUnknown(tenant, "does not exist, and events may not make tenants here")
        if len(self._known) >= self._settings.max_tenants:
            raise TenantUnknown(tenant, f"does not exist, and there are {self._settings.max_tenants} already")

    async def _make(self, tenant: str) -> None:
        topic = NewTopic(
            name=raw_topic(tenant),
            num_partitions=self._settings.partitions,
            replication_factor=self._settings.replication,
            topic_configs={"message.timestamp.type": "LogAppendTime", "retention.ms": str(RETENTION_MS)},
        )
        async with self._admin() as admin:
            answer = await admin.create_topics([topic])
        for _, code, *why in answer.topic_errors:
            error: type[KafkaError] = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(*why)
        log.info("tenant_created", tenant=tenant, partitions=self._settings.partitions)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()
