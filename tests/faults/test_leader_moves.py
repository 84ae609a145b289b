"""Leaders of a three-broker cluster die in turn and are elected back: what was acknowledged stays, counts are exact."""

import asyncio
import time
from pathlib import Path

import pytest

from schemas.topics import raw_topic
from tests.faults.brokers import NODES, cluster_scene
from tests.faults.scene import MARKS, kill, send_paced
from tests.faults.traffic import make_sent

pytestmark = [*MARKS, pytest.mark.long]
COUNT = 4_800
PER_S = 1000


async def test_leaders_killed_in_turn_leave_counts_exact(tenant: str, tmp_path: Path) -> None:
    sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
    size = -(-len(sent) // (NODES + 1))
    slices = [sent[first : first + size] for first in range(0, len(sent), size)]
    async with cluster_scene(tenant, tmp_path) as (scene, brokers), scene.worker():
        for number, part in enumerate(slices[:NODES]):
            counted = await scene.counted()
            sending = asyncio.create_task(send_paced(scene, part, PER_S))
            await scene.wait_counted(counted)
            leader = (await brokers.partitions(raw_topic(tenant)))[number].leader
            await kill(brokers.nodes[leader])
            await sending  # acks=all: two of three have it
            await scene.wait_all_counted()  # while the broker is dead, on every partition
            await brokers.nodes[leader].run()
            await brokers.wait_whole(raw_topic(tenant))
        await send_paced(scene, slices[-1], PER_S)
        expected = await scene.assert_exact()
    assert len(expected.accepted) + len(expected.rejected) == len(sent), (
        "idempotent producers: nothing twice, all there"
    )
