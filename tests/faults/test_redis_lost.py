"""A Redis that comes back with less than it had, or nothing: the fence tells, and Kafka fills the gap."""

import asyncio
import time
from pathlib import Path

from redis.asyncio import Redis

from tests.faults.scene import MARKS, Scene, kill, native_scene, send_paced
from tests.faults.traffic import Sent, make_sent

pytestmark = MARKS
COUNT = 8_000
PER_S = 1000


def thirds(sent: list[Sent]) -> list[list[Sent]]:
    size = -(-len(sent) // 3)
    return [sent[first : first + size] for first in range(0, len(sent), size)]


def append_only_file(tmp_path: Path) -> Path:
    (found,) = tmp_path.glob("redis/appendonlydir/*.incr.aof")
    return found


async def test_a_redis_without_its_last_second_is_filled_up(tenant: str, tmp_path: Path) -> None:
    """A killed process loses nothing it has written; what a machine that fails loses is cut off its file."""
    async with native_scene(tenant, tmp_path) as scene:
        sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
        first, second, third = thirds(sent)
        async with scene.worker():
            await send_paced(scene, first, PER_S)
            file = append_only_file(tmp_path)
            flushed = file.stat().st_size
            counted = await scene.counted()
            sending = asyncio.create_task(send_paced(scene, second, PER_S))
            await scene.wait_counted(counted)
            await kill(scene.redis)
            cut_off(file, flushed + 7)
            await scene.redis.start()
            await scene.redis.wait_ready()
            await sending
            await send_paced(scene, third, PER_S)
            await scene.assert_exact()


def cut_off(file: Path, size: int) -> None:
    """In the middle of a command, as a machine that fails would."""
    assert file.stat().st_size > size, "nothing was written in the last second"
    with file.open("r+b") as opened:
        opened.truncate(size)


async def test_a_flushed_redis_is_rebuilt_from_kafka_while_events_flow(tenant: str, tmp_path: Path) -> None:
    async with native_scene(tenant, tmp_path) as scene:
        sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
        first, second, third = thirds(sent)
        async with scene.worker():
            sending = asyncio.create_task(send_paced(scene, first, PER_S))
            await scene.wait_counted(0)
            await flush(scene)
            await sending
            await send_paced(scene, second, PER_S)
            await flush(scene)
            await send_paced(scene, third, PER_S)
            await scene.assert_exact()


async def flush(scene: Scene) -> None:
    async with Redis.from_url(scene.redis_dsn) as redis:
        await redis.flushall()
