"""Members that join and leave every second: the group never rests, and the counts stay exact."""

import asyncio
import time
from pathlib import Path

import pytest

from infra.connections import open_redis
from tests.faults.scene import MARKS, Scene, native_scene, roles_of, send_paced
from tests.faults.traffic import make_sent

pytestmark = [*MARKS, pytest.mark.long]
STORM_S = 12
COUNT = 8_000


async def test_members_joining_and_leaving_every_second_leave_counts_exact(tenant: str, tmp_path: Path) -> None:
    async with native_scene(tenant, tmp_path) as scene:
        sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
        async with scene.worker():
            sending = asyncio.create_task(send_paced(scene, sent, COUNT // STORM_S))
            counted = [await scene.wait_counted(0)]
            async with asyncio.TaskGroup() as members:
                for _ in range(STORM_S):
                    members.create_task(visit(scene))
                    await asyncio.sleep(1)
                    counted.append(await scene.counted())
            await sending
            await scene.assert_exact()
    assert counted[0] < counted[-1], f"no progress during the storm: {counted}"


async def visit(scene: Scene) -> None:
    """A member of both groups for a second, whether or not it was given partitions meanwhile."""
    stop = asyncio.Event()
    async with open_redis(scene.redis_dsn) as redis, asyncio.TaskGroup() as roles:
        for run in roles_of(scene.config, redis):
            roles.create_task(run(stop, asyncio.Event()))
        await asyncio.sleep(1)
        stop.set()
