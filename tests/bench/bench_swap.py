"""How long a swap takes: `python -m tests.bench.bench_swap`. Sessions and recent lists, native or embedded.

Prints, for a swap at once and one in parts, ms of the whole and of the longest script, for several numbers of keys.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from infra.stack.servers import running_server
from streams.features.model import Lifetimes
from streams.replay import swap
from streams.replay.shadow import ShadowKeys
from streams.replay.swap import Swap

FIELDS = {f"field{n}": n for n in range(18)}
RECENT = [f'["i{n}","play",1790000000000]' for n in range(20)]


async def fill(redis: Any, prefix: str, users: int) -> None:
    for first in range(0, users, 1000):
        pipeline = redis.pipeline(transaction=False)
        for user in range(first, min(users, first + 1000)):
            pipeline.hset(f"{prefix}user:session:u{user}", mapping=FIELDS)
            pipeline.rpush(f"{prefix}user:recent:u{user}", *RECENT)
        await pipeline.execute()


async def measure(redis: Any, keys: int, at_once: int) -> None:
    swap.AT_ONCE = at_once  # type: ignore[misc]
    await redis.flushall()
    space = ShadowKeys(redis, "acme")
    for prefix in (space.live.prefix, space.shadow.prefix):
        await fill(redis, prefix, keys // 2)
    names, swapping = await space.names(), Swap(redis, space, Lifetimes())
    await redis.config_set("slowlog-log-slower-than", 0)
    await redis.slowlog_reset()
    assert await swapping.hold()
    began = time.perf_counter()
    scripts = await swapping.put(names, [])
    took_ms = (time.perf_counter() - began) * 1000
    longest_ms = max(entry["duration"] for entry in await redis.slowlog_get(scripts + 5)) / 1000
    print(f"{keys:>9,} keys  {scripts:>4} scripts  {took_ms:8.1f} ms, longest script {longest_ms:6.1f} ms")  # noqa: T201


async def main(kind: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_server("redis", kind, Path(folder)) as dsn, Redis.from_url(dsn) as redis:
            for keys in (10_000, 100_000, 400_000):
                for at_once in (0, keys):
                    await measure(redis, keys, at_once)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "native"))
