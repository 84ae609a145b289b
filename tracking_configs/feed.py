"""How every process learns of a config: the compacted topic `tracking-config-changes`.

Key tenant/scenario, value the config as JSON. A reader takes the topic from its start, is ready at what was
its end then, and follows. Reading a record twice does no harm: the registry keeps the newest version. While
Kafka is away the last known configs stay in force.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import re2
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from msgspec import MsgspecError

from schemas.kafka import KafkaDsn
from schemas.metrics import CONFIG_FEED_UP
from schemas.topics import CONFIG_CHANGES
from tracking_configs.checks import check_config
from tracking_configs.compacted_topic import REQUEST_TIMEOUT_MS, ensure_compacted_topic, started, within
from tracking_configs.errors import InvalidConfigError
from tracking_configs.model import TrackingConfig, decode_config, draft_of, encode_config
from tracking_configs.registry import ConfigRegistry
from tracking_configs.topic_follower import TopicFollower

log = structlog.get_logger()

CHUNK: Final = 16  # records applied at one go, some 3 ms: the loop has events to answer, too
PUBLISH_TIMEOUT_S: Final = 5.0
# What is superseded goes soon: else a reader that begins would wade through the history of every config.
TOPIC_CONFIGS: Final = {"segment.bytes": str(16 * 1024 * 1024), "min.cleanable.dirty.ratio": "0.1"}


class ConfigPublisher:
    """Writes configs to the change topic. It connects when first used, and again when that failed."""

    def __init__(self, kafka: KafkaDsn, *, replication: int = 1) -> None:
        self._kafka = kafka
        self._replication = replication
        self._producer: Any = None
        self._connecting = asyncio.Lock()

    async def publish(self, config: TrackingConfig) -> None:
        """Returns when all in-sync replicas have it. Raises KafkaError, OSError or TimeoutError when they do not.

        After a TimeoutError the record may arrive yet, which does no harm.
        """
        await within(PUBLISH_TIMEOUT_S, self._send(config))

    async def _send(self, config: TrackingConfig) -> None:
        producer = await self._connected()
        await producer.send_and_wait(CONFIG_CHANGES, encode_config(config), key=config.key.encode(), partition=0)

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                await ensure_topic(self._kafka, self._replication)
                producer = AIOKafkaProducer(
                    **self._kafka.client_options(),
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=REQUEST_TIMEOUT_MS,
                )
                await started(producer)
                self._producer = producer
            return self._producer


class ConfigFeed:
    """Keeps a registry equal to the change topic, from `start` to `stop`."""

    def __init__(self, registry: ConfigRegistry, kafka: KafkaDsn, *, replication: int = 1) -> None:
        self._registry = registry
        self._follower = TopicFollower(
            kafka,
            CONFIG_CHANGES,
            self._apply,
            name="config_feed",
            chunk=CHUNK,
            ensure=lambda: ensure_topic(kafka, replication),
            on_following=self._say_following,
        )

    @property
    def healthy(self) -> bool:
        """Whether the topic is being followed now. The registry serves its last known configs either way."""
        return self._follower.following

    async def start(self) -> None:
        """Returns when the registry holds all that was in the topic; waits for Kafka as long as it is away."""
        await self._follower.start()

    async def stop(self) -> None:
        await self._follower.stop()

    async def _apply(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            try:
                config = self._news(record.value)
            except (MsgspecError, InvalidConfigError, re2.error, UnicodeDecodeError) as error:
                log.error("config_record_skipped", offset=record.offset, error=str(error))
                continue
            if config is not None and self._registry.apply(config) and self.healthy:
                log.info("config_applied", tenant=config.tenant_id, scenario=config.scenario_id, version=config.version)

    def _news(self, value: bytes | None) -> TrackingConfig | None:
        """A record's config, None where the registry has it. Raises MsgspecError or InvalidConfigError for a bad one.

        What the registry holds has been checked: after an outage the topic is read again at a tenth of the cost.
        """
        config = decode_config(value or b"")
        if not self._registry.lacks(config):
            return None
        check_config(draft_of(config))
        return config

    def _say_following(self, following: bool) -> None:
        CONFIG_FEED_UP.set(following)
        if following:
            log.info("config_feed_ready", configs=self._registry.count)


async def ensure_topic(kafka: KafkaDsn, replication: int) -> None:
    """Create the change topic where it is absent. Raises KafkaError or OSError."""
    await ensure_compacted_topic(kafka, CONFIG_CHANGES, replication, TOPIC_CONFIGS)
