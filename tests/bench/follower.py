"""A process that does nothing but follow the change topic, and the bench's end of it."""

import asyncio
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import structlog

from schemas.kafka import KafkaDsn
from tracking_configs.feed import ConfigFeed
from tracking_configs.model import TrackingConfig
from tracking_configs.registry import ConfigRegistry

Version = tuple[str, int]  # a config's key, and its version


class Follower:
    """`applied_ms`: when the process put each version in force, versions 1 apart."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process, self._out = process, process.stdout
        self.applied_ms: dict[Version, int] = {}

    async def ready(self) -> None:
        if await self._out.readline() != b"ready\n":
            raise SystemExit("the follower ended before it was ready")

    def memory_mb(self) -> float:
        return float(psutil.Process(self._process.pid).memory_info().rss / 1e6)

    async def listen(self) -> None:
        async for line in self._out:
            key, version, at_ms = line.decode().split(" ")
            self.applied_ms[key, int(version)] = int(at_ms)


@asynccontextmanager
async def follower(kafka: str) -> AsyncIterator[Follower]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.follower", kafka, stdout=PIPE)
    try:
        yield Follower(process)
    finally:
        process.terminate()
        await process.wait()


class _Reporting(ConfigRegistry):
    def apply(self, config: TrackingConfig) -> bool:
        applied = super().apply(config)
        if applied and config.version > 1:
            print(config.key, config.version, time.time_ns() // 1_000_000, flush=True)  # noqa: T201
        return applied


async def follow(kafka: str) -> None:
    await ConfigFeed(_Reporting(), KafkaDsn.parse(kafka)).start()
    print("ready", flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(follow(sys.argv[1]))
