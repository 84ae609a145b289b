"""A worker is told to stop while nothing answers it any more."""

import asyncio
import signal
import time
from pathlib import Path

from tests.faults.scene import MARKS, kill, native_scene, send_paced
from tests.faults.traffic import make_sent

pytestmark = MARKS
COUNT = 8_000
AWAY_S = 3  # many times the commit interval: a commit is at work, and waits for its broker
STOPPED_WITHIN_S = 30


async def test_a_worker_stops_though_kafka_and_redis_are_both_gone(tenant: str, tmp_path: Path) -> None:
    """What was counted and not yet committed keeps a commit waiting; the stop gives it up, and the process ends."""
    async with native_scene(tenant, tmp_path) as scene:
        sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
        await send_paced(scene, sent, per_s=20 * COUNT)  # a backlog, so that there is work at hand when they go
        worker = scene.process("", tmp_path / "worker.log")
        try:
            await worker.start()
            await scene.wait_counted(0)
            await kill(scene.kafka)
            await kill(scene.redis)
            await asyncio.sleep(AWAY_S)
            worker.signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), STOPPED_WITHIN_S) == 0
        finally:
            await worker.stop(0)
