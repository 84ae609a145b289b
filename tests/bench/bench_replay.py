"""A rebuild of a tenant's features while its events flow: how fast, and how long its batches waited at the swap.

    python -m tests.bench bench_replay
    python -m tests.bench.bench_replay [--events 200000] [--rate 500] [--compression lz4] [--stack native]

Bursts of ten events from 20,000 users, in record batches compressed and not. A worker, a process of its own with the
features alone, has taken them all and goes on taking `--rate` events a second. Three rebuilds: features that are right,
as the log says; half changed, every user's session and heat; and lost, but for the fences and what is of no user.
Events a second are those of the whole rebuild, comparing and swapping included. The rebuild and the worker share a
core, and the servers have the other.
"""

import argparse
import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS, StackKind
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.features.model import DAY_MS, ScenarioSignals
from streams.replay.run import Order, Rebuild, Report
from streams.replay.shadow import NAMES_A_CALL
from tests.bench.bench_fairness import NOISY as TENANT
from tests.bench.bench_fairness import Job, worker
from tests.bench.site import WORKER_CORE, Raw, Site, fill, make_topics, partition_of, site
from tests.bench.stream_job import PARTITIONS, make_bodies, make_judge

SIGNALS: Final = ScenarioSignals(30 * 60_000, DAY_MS // 4)
SETTLING_S: Final = 1.0
SENT_EVERY_S: Final = 0.01


def records(bodies: list[tuple[str, bytes]]) -> Iterator[Raw]:
    for user, body in bodies:
        yield Raw(raw_topic(TENANT), partition_of(user, PARTITIONS), user.encode(), body)


@asynccontextmanager
async def flowing(kafka: str, bodies: list[tuple[str, bytes]], rate: int) -> AsyncIterator[None]:
    """Events of the same users, with ids and times of their own, until the end."""
    sending = asyncio.create_task(_send(kafka, bodies, rate))
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(kafka: str, bodies: list[tuple[str, bytes]], rate: int) -> None:
    dice, start, sent = random.Random(), time.monotonic(), 0
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=0) as producer:
        while True:
            while sent < (time.monotonic() - start) * rate:
                user, body = bodies[sent % len(bodies)]
                new = {"event_id": f"evt_{dice.getrandbits(64):016x}", "timestamp": time.time_ns() // 1_000_000}
                value = msgspec.json.encode(msgspec.json.decode(body) | new)
                at = partition_of(user, PARTITIONS)
                await producer.send(raw_topic(TENANT), value, key=user.encode(), partition=at)
                sent += 1
            await asyncio.sleep(SENT_EVERY_S)


async def nothing(redis: Any) -> None:
    pass


async def change_users(redis: Any) -> None:
    """Every session and every heat, as if their events had meant something else."""
    pipeline = redis.pipeline(transaction=False)
    for kind, field in (("session", "a:made up"), ("heat", "made up")):
        async for key in redis.scan_iter(match=f"{TENANT}:user:{kind}:*", count=NAMES_A_CALL):
            pipeline.hset(key, field, 1)
    await pipeline.execute()


async def lose_users(redis: Any) -> None:
    """All but the fences and what is shared."""
    pipeline = redis.pipeline(transaction=False)
    async for key in redis.scan_iter(match=f"{TENANT}:user:*", count=NAMES_A_CALL):
        pipeline.unlink(key)
    await pipeline.execute()


CASES: Final[dict[str, Callable[[Any], Any]]] = {
    "right": nothing,
    "half changed": change_users,
    "lost": lose_users,
}


async def rebuild(at: Site, redis: Any) -> Report:
    return await Rebuild(redis, KafkaDsn.parse(at.kafka), make_judge(TENANT), lambda *_: SIGNALS, Order(TENANT)).run()


async def measure(compression: str, events: int, rate: int, stack: StackKind) -> dict[str, Report]:
    """Case -> what its rebuild says."""
    async with site(stack) as at, Redis.from_url(at.redis) as redis:
        if os.cpu_count() != 1:
            os.sched_setaffinity(0, {WORKER_CORE})
        await make_topics(at.kafka, [raw_topic(TENANT)], PARTITIONS)
        bodies = make_bodies("bursts", TENANT, events)
        await fill(at.kafka, records(bodies), compression=None if compression == "none" else compression)
        async with worker(Job(at.kafka, at.redis, "features", fair=True)):
            await at.until_applied([TENANT], events)
            async with flowing(at.kafka, bodies, rate):
                reports = {}
                for case, spoil in CASES.items():
                    await asyncio.sleep(SETTLING_S)
                    await spoil(redis)
                    reports[case] = await rebuild(at, redis)
                return reports


def row(compression: str, case: str, report: Report) -> list[str]:
    found = report.difference
    rate, differ = report.records / report.seconds, found.differing + found.only_live + found.only_shadow
    counts = [report.records, round(rate), report.keys, differ, report.scripts]
    return [compression, case, *(f"{count:,}" for count in counts), f"{report.pause_ms:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=500, help="events a second meanwhile")
    parser.add_argument("--compression", choices=("lz4", "none"), action="append")
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    options = parser.parse_args()
    table = Table(title=f"rebuilds of {options.events:,} events in bursts, {options.rate} a second meanwhile")
    for column in ("batches", "features were", "records", "events/s", "keys", "differ", "scripts", "ms waited"):
        table.add_column(column, justify="left" if column in ("batches", "features were") else "right")
    for compression in options.compression or ("lz4", "none"):
        reports = uvloop.run(measure(compression, options.events, options.rate, options.stack))
        for case, report in reports.items():
            table.add_row(*row(compression, case, report))
    Console().print(table)


if __name__ == "__main__":
    main()
