"""The broker dies and comes back on its data: producers and workers go on where they were."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.scene import MARKS, kill, native_scene, send_paced
from tests.faults.traffic import make_sent

pytestmark = [*MARKS, pytest.mark.long]
COUNT = 10_000
PER_S = 1000
AWAY_S = 2


async def test_a_broker_killed_and_started_again_leaves_counts_exact(tenant: str, tmp_path: Path) -> None:
    async with native_scene(tenant, tmp_path) as scene:
        sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
        async with scene.worker():
            sending = asyncio.create_task(send_paced(scene, sent, PER_S))
            await scene.wait_counted(COUNT // 5)
            await kill(scene.kafka)
            await asyncio.sleep(AWAY_S)
            counted = await scene.counted()
            assert counted < COUNT
            await scene.kafka.run()
            await scene.wait_counted(counted)
            await sending
            expected = await scene.assert_exact()
    assert len(expected.accepted) + len(expected.rejected) == len(sent), (
        "idempotent producers: nothing twice, all there"
    )
