"""Schedules of faults that hypothesis chooses: whatever comes in whatever order, counts are exact in the end."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from infra.stack.server import Server
from schemas.topics import raw_topic
from tests.faults.scene import MARKS, Scene, kill, native_scene
from tests.faults.traffic import PARTITIONS, Clients, Sent, make_sent
from tests.streams.live import make_config, make_topic

pytestmark = [*MARKS, pytest.mark.long]
SCHEDULES = 4
COUNT = 2_200
SLICE = 250


@dataclass
class Play:
    """A scene under faults: its worker, and what is still to be sent."""

    scene: Scene
    worker: Server
    left: Iterator[list[Sent]]
    clients: Clients
    running: bool = field(default=False)

    async def send(self) -> None:
        await self.clients.send(next(self.left, []))

    async def start_worker(self) -> None:
        if not self.running:
            await self.worker.start()
            self.running = True

    async def kill_worker(self) -> None:
        if self.running:
            await kill(self.worker)
            self.running = False

    async def flush_redis(self) -> None:
        async with Redis.from_url(self.scene.redis_dsn) as redis:
            await redis.flushall()

    async def restart_redis(self) -> None:
        """It loses nothing that it has written: with AOF everysec only a machine that fails loses its last second."""
        await kill(self.scene.redis)
        await self.scene.redis.run()

    async def wait_for_counts(self) -> None:
        if self.running:
            await self.scene.wait_all_counted()

    async def pause(self) -> None:
        await asyncio.sleep(0.3)


ACTIONS: dict[str, Callable[[Play], Awaitable[None]]] = {
    "send": Play.send,
    "start": Play.start_worker,
    "kill": Play.kill_worker,
    "flush": Play.flush_redis,
    "restart": Play.restart_redis,
    "settle": Play.wait_for_counts,
    "pause": Play.pause,
}
SCHEDULE = st.lists(st.sampled_from(sorted(ACTIONS)), min_size=5, max_size=10)


@pytest_asyncio.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with native_scene("unused", tmp_path_factory.mktemp("schedules")) as scene:
        yield scene


@settings(
    max_examples=SCHEDULES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a shorter schedule would take minutes to find
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(schedule=SCHEDULE)
async def test_counts_are_exact_after_any_schedule(servers: Scene, tmp_path: Path, schedule: list[str]) -> None:
    note(f"log: {tmp_path}")
    async with played(servers, tmp_path) as play:
        for action in schedule:
            await ACTIONS[action](play)
        for rest in play.left:
            await play.clients.send(rest)
        await play.start_worker()
        await play.scene.assert_exact()


@asynccontextmanager
async def played(servers: Scene, folder: Path) -> AsyncIterator[Play]:
    """A tenant of its own, and groups that know nothing."""
    tenant = f"t{secrets.token_hex(4)}"
    scene = replace(servers, tenant=tenant, config=make_config(servers.kafka_dsn))
    await make_topic(scene.kafka_dsn, raw_topic(tenant), PARTITIONS)
    sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
    slices = iter([sent[first : first + SLICE] for first in range(0, len(sent), SLICE)])
    worker = scene.process("first", folder / "worker.log")
    async with Clients(scene.kafka_dsn, tenant) as clients:
        try:
            yield Play(scene, worker, slices, clients)
        finally:
            await worker.stop(0)
