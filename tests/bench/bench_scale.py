"""Two workers beside one: events for a second of their CPU.

    python -m tests.bench bench_scale [--events 300000] [--runs 3] [--stack native]

`millrace worker stream`, judge and features, work off the same backlog, alone or as two of a group with half of the
partitions each. The servers need a core of their own, so on a machine with two the workers share one, and the wall
clock cannot show what two cores would give them; what can be shown is what dividing the work costs: events for a
second of all the workers' CPU. Twice the ratio is what two do on two cores, as long as the servers keep up. The
workers stand still while the backlog is made. Servers of its own for each run; runs alternate, the median counts.
"""

import argparse
import asyncio
import statistics
import time
from typing import NamedTuple

import psutil
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS, StackKind
from schemas.topics import raw_topic, validated_topic
from tests.bench.site import ASK_EVERY_S, Raw, fill, held, make_topics, partition_of, running, site
from tests.bench.stream_job import make_bodies

TENANT, PARTITIONS, SETTLING_S = "bench", 12, 3.0


class Spent(NamedTuple):
    """Seconds of one run; `cpu` by worker."""

    wall: float
    cpu: list[float]


async def until_judged(kafka: str, events: int) -> None:
    partitions = [TopicPartition(validated_topic(TENANT), number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        while sum((await consumer.end_offsets(partitions)).values()) < events:
            await asyncio.sleep(ASK_EVERY_S)


async def measure(bodies: list[tuple[str, bytes]], count: int, stack: StackKind) -> Spent:
    topic = raw_topic(TENANT)
    async with site(stack) as at:
        await make_topics(at.kafka, [topic, validated_topic(TENANT)], PARTITIONS)
        workers = [at.worker(label=f"worker{number}") for number in range(count)]
        async with running(*workers):
            await asyncio.sleep(SETTLING_S)
            with held(workers):
                raw = (Raw(topic, partition_of(user, PARTITIONS), user.encode(), body) for user, body in bodies)
                await fill(at.kafka, raw)
                processes = [psutil.Process(worker.pid) for worker in workers]
                before, began = [sum(process.cpu_times()[:2]) for process in processes], time.monotonic()
            await asyncio.gather(at.until_applied([TENANT], len(bodies)), until_judged(at.kafka, len(bodies)))
            wall = time.monotonic() - began
            cpu = [sum(process.cpu_times()[:2]) - then for process, then in zip(processes, before, strict=True)]
    return Spent(wall, cpu)


def table_of(events: int, runs: dict[int, list[Spent]]) -> Table:
    table = Table(title=f"{events:,} events in bursts, {PARTITIONS} partitions")
    for column in ("workers", "events per CPU-s of all", "times one", "events/s wall", "least share of the CPU"):
        table.add_column(column, justify="right")
    per_cpu = {count: statistics.median(events / sum(run.cpu) for run in of) for count, of in runs.items()}
    for count, of in runs.items():
        wall = statistics.median(events / run.wall for run in of)
        share = min(min(run.cpu) / sum(run.cpu) for run in of)
        ratio = f"{per_cpu[count] / per_cpu[1]:.2f}"
        table.add_row(str(count), f"{per_cpu[count]:,.0f}", ratio, f"{wall:,.0f}", f"{share:.0%}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    options = parser.parse_args()
    bodies = make_bodies("bursty", TENANT, options.events)
    runs: dict[int, list[Spent]] = {1: [], 2: []}
    for _ in range(options.runs):
        for count, of in runs.items():
            of.append(uvloop.run(measure(bodies, count, options.stack)))
    Console().print(table_of(options.events, runs))


if __name__ == "__main__":
    main()
