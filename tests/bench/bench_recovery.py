"""A worker is killed: how long until events of the partitions it had are in Redis again.

    python -m tests.bench bench_recovery [--kills 5] [--way standby|restart] [--stack native]

Two `millrace worker stream` share a core and the partitions; SIGKILL takes them in turn. At once an event goes to each
partition; a partition that the other worker held shows how long such an event takes otherwise, the last one of all
how long the killed worker's took. `standby`: the other takes the partitions over when the session has timed out.
`restart`: both have names in their group (static membership), and the killed one is started again at once.
"""

import argparse
import asyncio
import random
import signal
import statistics
import time

import uvloop
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS, StackKind
from infra.stack.server import Server
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.config import StreamConfig
from tests.bench.bench_freshness import TENANT, event
from tests.bench.site import Site, make_topics, running, site
from tests.bench.stream_job import PARTITIONS

ASK_EVERY_S, GIVE_UP_S, SETTLING_S = 0.01, 60, 1.5
WAYS = {"standby": ("", ""), "restart": ("first", "second")}
DICE = random.Random()
GOAL_S = StreamConfig(KafkaDsn.parse("localhost:9092")).session_timeout_s + 2


async def recover(at: Site, victim: Server, number: int, *, restart: bool) -> list[float]:
    """Seconds from the kill until each partition's event was in Redis, the quickest first."""
    topic = raw_topic(TENANT)
    async with (
        Redis.from_url(at.redis) as redis,
        AIOKafkaProducer(bootstrap_servers=at.kafka, linger_ms=0) as producer,
        asyncio.timeout(GIVE_UP_S),
    ):
        await producer.partitions_for(topic)
        users = [f"u{number}.{partition}" for partition in range(PARTITIONS)]
        victim.signal(signal.SIGKILL)
        killed = time.monotonic()
        for partition, user in enumerate(users):
            await producer.send(topic, event(user, DICE), key=user.encode(), partition=partition)
        await victim.wait()
        if restart:
            await victim.start()
        took: dict[str, float] = {}
        while len(took) < len(users):
            await asyncio.sleep(ASK_EVERY_S)
            pipe = redis.pipeline(transaction=False)
            for user in users:
                pipe.exists(f"{TENANT}:user:session:{user}")
            for user, is_there in zip(users, await pipe.execute(), strict=True):
                if is_there:
                    took.setdefault(user, time.monotonic() - killed)
    if not restart:
        await victim.start()
    await victim.wait_ready()
    await asyncio.sleep(SETTLING_S)
    return sorted(took.values())


async def measure(way: str, kills: int, stack: StackKind) -> list[list[float]]:
    async with site(stack) as at:
        await make_topics(at.kafka, [raw_topic(TENANT)], PARTITIONS)
        workers = [at.worker(name, label=f"worker{number}") for number, name in enumerate(WAYS[way])]
        async with running(*workers):
            await asyncio.sleep(SETTLING_S)
            return [await recover(at, workers[number % 2], number, restart=way == "restart") for number in range(kills)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--way", choices=tuple(WAYS), action="append")
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    options = parser.parse_args()
    table = Table(title=f"SIGKILL until an event sent after it is in Redis, s; goal below {GOAL_S:.0f}")
    for column in ("the killed worker's partitions go to", "kills", "the other's", "least", "median", "most"):
        table.add_column(column, justify="left" if column.startswith("the killed") else "right")
    for way in options.way or WAYS:
        took = uvloop.run(measure(way, options.kills, options.stack))
        last = [times[-1] for times in took]
        figures = [statistics.median(times[0] for times in took), min(last), statistics.median(last), max(last)]
        table.add_row(way, str(len(took)), *(f"{seconds:.2f}" for seconds in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
