"""How every process learns of a config: the compacted topic `tracking-config-changes`.

Key tenant/scenario, value the config as JSON. A reader takes the topic from its start, is ready at what was
its end then, and follows. Reading a record twice does no harm: the registry keeps the newest version. While
Kafka is away the last known configs stay in force.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

import re2
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import MsgspecError

from schemas.kafka import KafkaDsn
from schemas.metrics import CONFIG_FEED_UP
from schemas.topics import CONFIG_CHANGES
from tracking_configs.checks import check_config
from tracking_configs.errors import InvalidConfigError
from tracking_configs.model import TrackingConfig, decode_config, draft_of, encode_config
from tracking_configs.registry import ConfigRegistry

log = structlog.get_logger()

T = TypeVar("T")

POLL_MS: Final = 1000
CHUNK: Final = 16  # records applied at one go, some 3 ms: the loop has events to answer, too
PROBE_EVERY_S: Final = 1.5  # a consumer whose broker is away says nothing by itself
PROBE_TIMEOUT_S: Final = 2.5
PUBLISH_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 5.0
# What is superseded goes soon: else a reader that begins would wade through the history of every config.
TOPIC_CONFIGS: Final = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}
RETRY_S: Final = 1.0
REQUEST_TIMEOUT_MS: Final = 5000

_PARTITION: Final = TopicPartition(CONFIG_CHANGES, 0)
_AWAY: Final = (KafkaError, OSError, TimeoutError)


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
        await _within(PUBLISH_TIMEOUT_S, self._send(config))

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
                await _started(producer)
                self._producer = producer
            return self._producer


class ConfigFeed:
    """Keeps a registry equal to the change topic, from `start` to `stop`."""

    def __init__(self, registry: ConfigRegistry, kafka: KafkaDsn, *, replication: int = 1) -> None:
        self._registry = registry
        self._kafka = kafka
        self._replication = replication
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._following = False
        self._lost = False

    @property
    def healthy(self) -> bool:
        """Whether the topic is being followed now. The registry serves its last known configs either way."""
        return self._following

    async def start(self) -> None:
        """Returns when the registry holds all that was in the topic; waits for Kafka as long as it is away."""
        self._task = self._task or asyncio.create_task(self._run(), name="config-feed")
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
            finally:
                self._set_following(False)
            await asyncio.sleep(RETRY_S)

    def _say_lost(self, error: BaseException) -> None:
        if not self._lost:  # once an outage
            log.warning("config_feed_lost", error=str(error) or type(error).__name__)
        self._lost = True

    async def _follow(self) -> None:
        await ensure_topic(self._kafka, self._replication)
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        await _started(consumer)
        try:
            consumer.assign([_PARTITION])
            await consumer.seek_to_beginning(_PARTITION)
            await self._read(consumer)
        finally:
            # Where its broker is gone, stopping raises the cancellation of the consumer's own fetches.
            with contextlib.suppress(TimeoutError):
                await _within(STOP_TIMEOUT_S, consumer.stop())

    async def _read(self, consumer: Any) -> None:
        clock = asyncio.get_running_loop().time
        end, probed_at = await _end_of(consumer), clock()
        while True:
            if not self._following and await consumer.position(_PARTITION) >= end:
                log.info("config_feed_ready", configs=self._registry.count)
                self._set_following(True)
                self._ready.set()
            self._apply(await consumer.getmany(_PARTITION, timeout_ms=POLL_MS, max_records=CHUNK))
            await asyncio.sleep(0)  # where there are records, getmany does not give way
            if clock() - probed_at > PROBE_EVERY_S:
                await _end_of(consumer)
                probed_at = clock()

    def _apply(self, batches: Mapping[TopicPartition, Any]) -> None:
        for record in (record for batch in batches.values() for record in batch):
            try:
                config = self._news(record.value)
            except (MsgspecError, InvalidConfigError, re2.error, UnicodeDecodeError) as error:
                log.error("config_record_skipped", offset=record.offset, error=str(error))
                continue
            if config is not None and self._registry.apply(config) and self._following:
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

    def _set_following(self, following: bool) -> None:
        self._following = following
        self._lost = self._lost and not following
        CONFIG_FEED_UP.set(following)


async def ensure_topic(kafka: KafkaDsn, replication: int) -> None:
    """Create the change topic where it is absent: one partition, so that all see one order, and compacted."""
    admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        if CONFIG_CHANGES in await admin.list_topics():
            return
        topic = NewTopic(CONFIG_CHANGES, 1, replication, topic_configs=TOPIC_CONFIGS)
        answer = await admin.create_topics([topic])
        for _, code, *rest in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise for_code(code)(*rest)
    finally:
        await admin.close()


async def _started(client: Any) -> None:
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise


async def _end_of(consumer: Any) -> int:
    end: int = (await _within(PROBE_TIMEOUT_S, consumer.end_offsets([_PARTITION])))[_PARTITION]
    return end


async def _within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """The call's result. Raises TimeoutError where it takes longer, or is cancelled from inside."""
    task = asyncio.create_task(call)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done() and not task.cancelled():
            return task.result()
        raise TimeoutError(f"no answer from Kafka within {seconds:g} s")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1)
