"""A rebuild that dies where it is told to: `fold` amid the log, `swap` amid a swap in parts. Not a test."""

import asyncio
import os
import signal
import sys
from typing import Any

from infra.connections import open_redis
from schemas.kafka import KafkaDsn
from streams.replay import build, swap
from streams.replay.run import Order, Rebuild
from tests.faults.scene import signals
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

DIES_AFTER = 1000


class DyingJudge(Judge):
    """Kills its process at an event."""

    judged = 0

    def judge(self, *event: Any) -> Any:
        self.judged += 1
        if self.judged > DIES_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().judge(*event)


class DyingSwap(swap.Swap):
    """Kills its process when hot lists are in their new place, and users are not."""

    async def _must(self, held: bytes, then: bytes, dropped: Any, moved: Any) -> None:
        await super()._must(held, then, dropped, moved)
        if any(name.startswith(b"hot:") for name in moved):
            os.kill(os.getpid(), signal.SIGKILL)


async def main(where: str, kafka: str, redis_dsn: str, tenant: str) -> None:
    build.BATCH_RECORDS = 100  # type: ignore[misc]
    judge: Judge = DyingJudge(ConfigRegistry()) if where == "fold" else Judge(ConfigRegistry())
    async with open_redis(redis_dsn) as redis:
        rebuild = Rebuild(redis, KafkaDsn.parse(kafka), judge, signals, Order(tenant))
        if where == "swap":
            swap.AT_ONCE, swap.PART = 0, 50  # type: ignore[misc]
            rebuild._swap.__class__ = DyingSwap
        await rebuild.run()


asyncio.run(main(*sys.argv[1:]))
