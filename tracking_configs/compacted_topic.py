"""A compacted topic of one partition, by which every process learns what all must know (`topic_follower`)."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas.kafka import KafkaDsn

T = TypeVar("T")

REQUEST_TIMEOUT_MS: Final = 5000


async def ensure_compacted_topic(kafka: KafkaDsn, topic: str, replication: int, configs: dict[str, str]) -> None:
    """Create the topic where it is absent: one partition, so that all see one order. Raises KafkaError or OSError."""
    admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        if topic in await admin.list_topics():
            return
        wanted = NewTopic(topic, 1, replication, topic_configs={"cleanup.policy": "compact"} | configs)
        answer = await admin.create_topics([wanted])
        for _, code, *rest in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise for_code(code)(*rest)
    finally:
        await admin.close()


async def started(client: Any) -> None:
    """Start one of aiokafka's clients; where that fails it is stopped again."""
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
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
