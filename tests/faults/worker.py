"""A stream worker to be killed, or stopped by SIGTERM: judge and features, as `worker stream` runs them. Not a test."""

import asyncio
import signal
import sys

from infra.connections import open_redis
from tests.faults.scene import roles_of
from tests.streams.live import make_config


async def main(kafka: str, redis_dsn: str, group_prefix: str, name: str) -> None:
    config, stop = make_config(kafka, group_prefix=group_prefix, instance_id=name or None), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_redis(redis_dsn) as redis:
        await asyncio.gather(*(run(stop, asyncio.Event()) for run in roles_of(config, redis)))


asyncio.run(main(*sys.argv[1:]))
