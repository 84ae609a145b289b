"""Running workers against a real broker."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from schemas.kafka import KafkaDsn
from streams.app import StreamApp, lanes_app, run_worker
from streams.config import StreamConfig
from streams.transport import Batch, Record

WAIT_S = 30


def make_config(kafka: str, **settings: Any) -> StreamConfig:
    """A config with a consumer group of its own and quick intervals."""
    config = StreamConfig(
        KafkaDsn.parse(kafka),
        group_prefix=f"test-{secrets.token_hex(4)}-",
        commit_interval_s=0.1,
        discovery_interval_s=1.0,
        session_timeout_s=6.0,
        heartbeat_interval_s=1.0,
        closing_interval_s=0.2,
        quiet_s=3600.0,  # what tests send arrived long ago by its own account, for which the clock would be ahead
    )
    return replace(config, **settings)


class Recorder:
    """A step that keeps the records of one tenant's topics and lets every other pass."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.batches: list[Batch] = []
        self.changed = asyncio.Event()
        self.wanted: dict[TP, int] = {}
        self.gates: defaultdict[int, asyncio.Event] = defaultdict(_open_event)
        self.answers: list[int | Exception] = []  # what the next batches get instead of success

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        return {tp: offset for tp, offset in self.wanted.items() if tp in tps}

    async def process(self, batch: Batch) -> int | None:
        if not batch.topic.endswith("-" + self.tenant):
            return None
        await self.gates[batch.partition].wait()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.batches.append(batch)
        self.changed.set()
        return None

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in batch.records]

    def offsets(self, partition: int) -> list[int]:
        return [record.offset for record in self.records if record.partition == partition]

    async def wait_for(self, count: int, timeout_s: float = WAIT_S) -> None:
        """Return once that many records were seen."""
        async with asyncio.timeout(timeout_s):
            while len(self.records) < count:
                self.changed.clear()
                await self.changed.wait()


def _open_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@asynccontextmanager
async def running(config: StreamConfig, step: Any, prefix: str = "user-behaviors-") -> AsyncIterator[None]:
    """A worker of one app, ready; stopped at the end."""
    async with worker(lambda: lanes_app("judge", prefix, config, step)):
        yield


@asynccontextmanager
async def worker(make_app: Callable[[], StreamApp]) -> AsyncIterator[None]:
    async with role(lambda stop, ready: run_worker(make_app, stop, ready)):
        yield


@asynccontextmanager
async def role(run: Callable[[asyncio.Event, asyncio.Event], Any]) -> AsyncIterator[None]:
    """One of the `run_*` functions, ready; stopped at the end."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(run(stop, ready))
    waiting = asyncio.ensure_future(ready.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), "the worker did not become ready"
        yield
    finally:
        waiting.cancel()
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


@asynccontextmanager
async def admin_client(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def producer_client(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def make_topic(kafka: str, topic: str, partitions: int = 2, replicas: int = 1) -> None:
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(topic, partitions, replicas)])


async def fill(kafka: str, topic: str, count: int, partitions: int = 2, size: int = 20) -> None:
    """`count` records in each partition, their values their number within it."""
    async with producer_client(kafka) as producer:
        for number in range(count):
            for partition in range(partitions):
                await producer.send(topic, str(number).zfill(size).encode(), partition=partition)
        await producer.flush()


async def fill_until(kafka: str, topic: str, enough: asyncio.Event, partitions: int) -> int:
    """About 1,000 records a second until `enough`; how many there are in each partition."""
    number = 0
    async with producer_client(kafka) as producer:
        while not enough.is_set():
            for partition in range(partitions):
                await producer.send(topic, str(number).encode(), partition=partition)
            number += 1
            await asyncio.sleep(partitions / 1000)
        await producer.flush()
    return number


async def committed(kafka: str, group: str, topic: str) -> dict[int, int]:
    """partition -> committed offset."""
    async with admin_client(kafka) as admin:
        offsets = await admin.list_consumer_group_offsets(group)
    return {
        tp.partition: found.offset
        for tp, found in offsets.items()
        if isinstance(tp, TopicPartition) and tp.topic == topic
    }
