"""A rebuild that is killed leaves the features whole: the old ones, or, where the swap had begun, the new."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from schemas.keys import KeySpace
from streams.features.errors import SinkUnavailable
from streams.features.sink import RedisFeatureSink
from streams.replay.errors import ReplayRunning
from streams.replay.run import abort
from tests.faults.scene import signals
from tests.streams.replay.stage import Stage, a_stage, traffic

VICTIM = Path(__file__).with_name("victim.py")
COUNT = 3_000


async def die(where: str, stage: Stage, redis: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(VICTIM), where, stage.kafka, redis, stage.tenant, env=environment
    )
    assert await victim.wait() == -signal.SIGKILL


async def shadow_keys(stage: Stage) -> list[bytes]:
    prefix = KeySpace(stage.tenant, shadow=True).prefix
    return [key async for key in stage.redis.scan_iter(match=f"{prefix}*", count=1000)]


async def test_one_killed_amid_the_log_leaves_keys_that_end_and_the_next_one_starts_over(
    kafka: str, redis_server: str, redis_client: Redis, tenant: str
) -> None:
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        await stage.send(traffic(tenant, COUNT))
        await stage.counted()
        await stage.spoil()
        await die("fold", stage, redis_server)
        left = await shadow_keys(stage)
        assert left
        assert [key for key in left if await redis_client.ttl(key) == -1] == []
        with pytest.raises(ReplayRunning, match="--abort"):
            await stage.rebuild()
        assert not await abort(redis_client, tenant), "there was no swap to finish"
        assert await shadow_keys(stage) == []
        assert (await stage.rebuild()).swapped
        await stage.assert_exact()


@pytest.mark.parametrize("by", ["abort", "the next one"])
async def test_a_swap_killed_in_the_middle_is_finished(
    kafka: str, redis_server: str, redis_client: Redis, tenant: str, by: str
) -> None:
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        sent = traffic(tenant, COUNT)
        await stage.send(sent[: COUNT // 2])
        await stage.counted()
        await stage.spoil()
        await die("swap", stage, redis_server)
        with pytest.raises(SinkUnavailable, match="held"):
            await RedisFeatureSink(redis_client, signals).apply(tenant, 0, 10**6, 10**6, 10**6 + 1, [])
        sending = asyncio.create_task(stage.send(sent[COUNT // 2 :]))
        if by == "abort":
            assert await abort(redis_client, tenant)
        else:
            await redis_client.unlink(stage.key("features:replay"))  # ends by itself in 30 s
            await stage.rebuild()
        await sending
        await stage.counted()
        await stage.assert_exact()
