"""Workers killed while sessions end: each session has one summary in the topic, neither none nor two."""

import asyncio
import os
import random
import time
from itertools import pairwise
from pathlib import Path

from streams.features.watermark import Closing
from tests.faults.scene import MARKS, eventually, kill, native_scene
from tests.streams.sessions import MINUTE, Sent, facts, make_sessions, over, send, shipped

pytestmark = MARKS
KILLS = min(4, int(os.environ.get("MILLRACE_TEST_KILLS", "2")))  # `make faults` kills 4 times
SLICE_S = 1.0


def some_traffic(now_ms: int) -> list[Sent]:
    """Of some users who are there still, and of some who left hours ago, whose last session the watermark passes."""
    here = make_sessions(now_ms - 10 * MINUTE, users=range(200), seed=9)
    gone = make_sessions(now_ms - 180 * MINUTE, users=range(200, 400), seed=10)
    return sorted(here + gone, key=lambda event: event.timestamp)


async def test_kills_while_sessions_are_closed_and_shipped_make_each_summary_once(tenant: str, tmp_path: Path) -> None:
    dice, sent = random.Random(3), some_traffic(time.time_ns() // 1_000_000)
    expected = over(sent, Closing().lateness_ms)
    cuts = [len(sent) * number // (KILLS + 1) for number in range(KILLS + 2)]
    slices = [sent[begin:end] for begin, end in pairwise(cuts)]
    async with native_scene(tenant, tmp_path) as scene:
        worker = scene.process("first", tmp_path / "worker.log")
        try:
            await worker.start()
            for part in slices[:KILLS]:
                sending = asyncio.create_task(send_spread(scene.kafka_dsn, tenant, part))
                await scene.wait_counted(await scene.counted())
                await asyncio.sleep(dice.uniform(0, SLICE_S))
                await kill(worker)
                await worker.start()
                await sending
            await send_spread(scene.kafka_dsn, tenant, slices[-1])
            await eventually(lambda: shipped(scene.kafka_dsn, tenant), lambda found: len(found) >= len(expected))
            await asyncio.sleep(1)  # a second copy would come about now
            assert facts(await shipped(scene.kafka_dsn, tenant)) == expected
        finally:
            await worker.stop(1)


async def send_spread(kafka: str, tenant: str, part: list[Sent]) -> None:
    """In some portions, so that there is always something to close and to ship."""
    portions = 10
    cuts = [len(part) * number // portions for number in range(portions + 1)]
    for begin, end in pairwise(cuts):
        await send(kafka, tenant, part[begin:end])
        await asyncio.sleep(SLICE_S / portions)
