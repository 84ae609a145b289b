"""Makes the judge's topics: partition for partition the twins of the raw topic."""

import asyncio

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from schemas.kafka import KafkaDsn

log = structlog.get_logger()


class TopicMaker:
    """Remembers what exists, so that only a topic's first use, and its growth, ask the broker."""

    def __init__(self, kafka: KafkaDsn, *, replication_factor: int, retention_ms: int) -> None:
        self._kafka = kafka
        self._replication_factor = replication_factor
        self._configs = {"retention.ms": str(retention_ms)}
        self._partitions: dict[str, int] = {}
        self._lock = asyncio.Lock()

    async def ensure(self, topics: tuple[str, ...], *, like: str, partition: int) -> None:
        """Have `topics` with as many partitions as `like`, and at least up to `partition`. Raises KafkaError."""
        if self._all_have(topics, partition):
            return
        async with self._lock:
            if not self._all_have(topics, partition):
                await self._make(topics, like)

    def forget(self, *topics: str) -> None:
        """Ask the broker again next time: a topic may have been deleted."""
        for topic in topics:
            self._partitions.pop(topic, None)

    def _all_have(self, topics: tuple[str, ...], partition: int) -> bool:
        return all(self._partitions.get(topic, 0) > partition for topic in topics)

    async def _make(self, topics: tuple[str, ...], like: str) -> None:
        admin = AIOKafkaAdminClient(**self._kafka.client_options())
        await admin.start()
        try:
            existing = await _partition_counts(admin)
            if like not in existing:
                raise UnknownTopicOrPartitionError(like)
            for topic in topics:
                await self._make_one(admin, topic, existing.get(topic, 0), wanted=existing[like])
        finally:
            await admin.close()

    async def _make_one(self, admin: AIOKafkaAdminClient, topic: str, has: int, *, wanted: int) -> None:
        if has == 0:
            new = NewTopic(topic, wanted, self._replication_factor, topic_configs=self._configs)
            created = await admin.create_topics([new])
            error = for_code(created.topic_errors[0][1])
            if error is TopicAlreadyExistsError:  # another worker was faster; it may have seen fewer partitions
                has = (await _partition_counts(admin)).get(topic, 0)
            elif issubclass(error, KafkaError) and created.topic_errors[0][1] != 0:
                raise error(topic)
            else:
                has = wanted
                log.info("topic_made", topic=topic, partitions=wanted)
        if has < wanted:
            await admin.create_partitions({topic: NewPartitions(wanted)})
            log.info("topic_grown", topic=topic, partitions=wanted)
        self._partitions[topic] = max(has, wanted)


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Of all topics: asking for one by its name would create it, with the broker's number of partitions."""
    described = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}
