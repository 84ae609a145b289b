"""Servers on one core and `millrace worker stream` on another, for what is measured from outside a worker.

Whoever measures runs on the servers' core, and takes its share of it.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from redis.asyncio import Redis

from infra.stack.kinds import StackKind
from infra.stack.ports import LOOPBACK, free_ports
from infra.stack.server import Server
from infra.stack.servers import running_server
from tests.streams.live import admin_client

WORKER_CORE, SERVER_CORE = 0, 1
ROOT = str(Path(__file__).parents[2])
BATCH_BYTES = 256 * 1024
ASK_EVERY_S = 0.05
GIVE_UP_S = 300


class Raw(NamedTuple):
    """A record for a raw topic."""

    topic: str
    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Site:
    """A broker and a Redis, both empty, and how to start workers beside them."""

    kafka: str
    redis: str
    folder: Path

    def worker(self, name: str = "", *, label: str = "worker") -> Server:
        """A `millrace worker stream`, not started. With a `name` it keeps its partitions over a restart."""
        (port,) = free_ports(1)
        environment = {
            "PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)]),
            "MILLRACE_KAFKA": self.kafka,
            "MILLRACE_REDIS": self.redis,
            "MILLRACE_ERASURE_KEY": "no MongoDB is asked for one",
            "MILLRACE_METRICS_PORT": str(port),
            "MILLRACE_INSTANCE_ID": name,
        }
        pinned = ("taskset", "-c", str(WORKER_CORE)) if os.cpu_count() != 1 else ()
        command = [*pinned, sys.executable, "-m", "infra.cli", "worker", "stream"]

        async def probe() -> None:
            await ready(port)

        return Server(label, command, self.folder / f"{label}.log", probe, environment=environment)

    async def applied(self, tenants: Sequence[str]) -> int:
        """How many raw records the features have taken: the fences' offsets, summed."""
        async with Redis.from_url(self.redis, socket_timeout=GIVE_UP_S) as redis:
            pipe = redis.pipeline(transaction=False)
            for tenant in tenants:
                pipe.hvals(f"{tenant}:fence:features")
            found = cast(list[list[bytes]], await pipe.execute())
        return sum(int(fence.split(b":")[1]) + 1 for fences in found for fence in fences)

    async def until_applied(self, tenants: Sequence[str], records: int) -> None:
        """Raises TimeoutError where the features take longer than GIVE_UP_S."""
        async with asyncio.timeout(GIVE_UP_S):
            while await self.applied(tenants) < records:
                await asyncio.sleep(ASK_EVERY_S)


async def ready(port: int) -> None:
    """Raises while a worker's /readyz does not say that it has its partitions."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        answer = await reader.readline()
        if b" 200 " not in answer:
            raise ConnectionError(answer.decode(errors="replace").strip())
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def site(stack: StackKind) -> AsyncIterator[Site]:
    """Both servers running on their core, to which this process goes as well."""
    if os.cpu_count() != 1:
        os.sched_setaffinity(0, {SERVER_CORE})  # the servers inherit it
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        kafka = await servers.enter_async_context(running_server("kafka", stack, folder))
        redis = await servers.enter_async_context(running_server("redis", stack, folder))
        yield Site(kafka, redis, folder)


@asynccontextmanager
async def running(*workers: Server) -> AsyncIterator[None]:
    """Ready, one after the other; stopped at the end, as are those that were started again meanwhile."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            stack.push_async_callback(worker.stop)
            await worker.run()
        yield


@contextmanager
def held(workers: Sequence[Server]) -> Iterator[None]:
    """Stopped as by a debugger, for less than their session timeout: what comes meanwhile waits for all of them."""
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            worker.signal(signal.SIGCONT)


async def make_topics(kafka: str, topics: Iterable[str], partitions: int) -> None:
    async with admin_client(kafka) as admin:
        await admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics])


def partition_of(user: str, partitions: int) -> int:
    return zlib.crc32(user.encode()) % partitions


async def fill(kafka: str, records: Iterable[Raw], *, compression: str | None = None) -> int:
    """As quickly as one producer can; how many there were."""
    sent, builders = 0, dict[tuple[str, int], Any]()
    options = {"max_batch_size": BATCH_BYTES, "compression_type": compression}
    async with AIOKafkaProducer(bootstrap_servers=kafka, **options) as producer:
        for topic, partition, key, value in records:
            sent, now_ms = sent + 1, time.time_ns() // 1_000_000
            builder = builders.get((topic, partition)) or producer.create_batch()
            if builder.append(timestamp=now_ms, key=key, value=value) is None:
                await producer.send_batch(builder, topic, partition=partition)
                builder = producer.create_batch()
                builder.append(timestamp=now_ms, key=key, value=value)
            builders[topic, partition] = builder
        for (topic, partition), builder in builders.items():
            await producer.send_batch(builder, topic, partition=partition)
        await producer.flush()
    return sent
