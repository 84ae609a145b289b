"""How old an event is when its session in Redis has it: at 1,000 events a second, and at half of full load.

    python -m tests.bench bench_latency [--rate 1000] [--seconds 10] [--stack native]

One `millrace worker stream`, judge and features, on a core; broker, Redis and this process on another. Full load is
what the worker takes from a backlog, measured first. Ages are by probing: from the moment before an event is given to
the producer until a read of Redis, every 2 ms, finds the session's `last_at` there. They include the producer, the
broker, and the asking. Events are sent in slices, every 4 ms; at higher rates one event in several is a probe.
"""

import argparse
import asyncio
import itertools
import re
import statistics
import time
from dataclasses import dataclass
from typing import Any

import psutil
import uvloop
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS
from infra.stack.server import Server
from schemas.topics import raw_topic
from tests.bench.bench_freshness import Probe
from tests.bench.site import BATCH_BYTES, Raw, Site, fill, held, make_topics, partition_of, running, site
from tests.bench.stream_job import PARTITIONS, make_bodies

TENANT, TOPIC = "bench", raw_topic("bench")
BACKLOG, WARM_UP_S, SLICE_S, ASK_EVERY_S, PROBES_PER_S = 150_000, 3.0, 0.004, 0.002, 500
TIMESTAMP, EVENT_ID = re.compile(rb'"timestamp":\d+'), re.compile(rb"evt_[0-9a-f]{16}")
IDS = itertools.count()  # the bodies of two loads share some of theirs, and an id sent twice counts once


@dataclass(frozen=True)
class Measured:
    """`cpu_s`: of the worker, in `seconds`; ages in ms."""

    sent: int
    seconds: float
    cpu_s: float
    probe: Probe

    def row(self) -> list[str]:
        ages = self.probe.ages_ms
        cuts = statistics.quantiles(ages, n=100)
        counts = [f"{self.sent / self.seconds:,.0f}", f"{self.cpu_s / self.seconds:.0%}", f"{len(ages):,}"]
        return [*counts, str(self.probe.missed), *(f"{age:.1f}" for age in (cuts[49], cuts[98], max(ages)))]


async def full_load(at: Site, worker: Server) -> float:
    """Events a second, of a backlog."""
    bodies = make_bodies("bursty", TENANT, BACKLOG)
    with held([worker]):
        await fill(at.kafka, (Raw(TOPIC, partition_of(user, PARTITIONS), user.encode(), body) for user, body in bodies))
    began = time.monotonic()
    await at.until_applied([TENANT], BACKLOG)
    return BACKLOG / (time.monotonic() - began)


async def send(kafka: str, bodies: list[tuple[str, bytes]], rate: float, probe: Probe) -> int:
    """Slice after slice at a steady rate; how many were sent once the worker was warm."""
    every, sent, counted, start = max(1, round(rate / PROBES_PER_S)), 0, 0, time.monotonic()
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=0, max_batch_size=BATCH_BYTES) as producer:
        while sent < len(bodies):
            elapsed = time.monotonic() - start
            due = bodies[sent : int(elapsed * rate)]
            now_ms = time.time_ns() // 1_000_000
            await _send_slice(producer, due, now_ms)
            if elapsed > WARM_UP_S:
                counted += len(due)
                for user, _ in due[::every]:
                    probe.expect(user, now_ms)
            sent += len(due)
            await asyncio.sleep(max(0.0, SLICE_S - (time.monotonic() - start - elapsed)))
        await producer.flush()
    return counted


async def _send_slice(producer: AIOKafkaProducer, due: list[tuple[str, bytes]], now_ms: int) -> None:
    builders: dict[int, Any] = {}
    stamp = b'"timestamp":%d' % now_ms
    for user, body in due:
        builder = builders.setdefault(partition_of(user, PARTITIONS), producer.create_batch())
        value = EVENT_ID.sub(b"evt_%016d" % next(IDS), TIMESTAMP.sub(stamp, body, 1), 1)
        builder.append(timestamp=now_ms, key=user.encode(), value=value)
    for partition, builder in builders.items():
        await producer.send_batch(builder, TOPIC, partition=partition)


async def measure(at: Site, worker: Server, rate: float, seconds: float) -> Measured:
    bodies = make_bodies("bursty", TENANT, int(rate * (WARM_UP_S + seconds)))
    process = psutil.Process(worker.pid)
    async with Redis.from_url(at.redis) as redis:
        probe = Probe(redis, lambda user: f"{TENANT}:user:session:{user}", "last_at", ask_every_s=ASK_EVERY_S)
        async with probe.asking():
            before, began = sum(process.cpu_times()[:2]), time.monotonic()
            sent = await send(at.kafka, bodies, rate, probe)
            took_s = time.monotonic() - began
            cpu_s = (sum(process.cpu_times()[:2]) - before) * seconds / took_s
    return Measured(sent, took_s - WARM_UP_S, cpu_s, probe)


async def compare(options: argparse.Namespace) -> Table:
    async with site(options.stack) as at:
        await make_topics(at.kafka, [TOPIC], PARTITIONS)
        worker = at.worker()
        async with running(worker):
            full = await full_load(at, worker)
            loads = {f"{options.rate:,} events/s": options.rate, f"half of full load ({full:,.0f})": full / 2}
            table = Table(title=f"an event until its session in Redis has it, {options.stack} stack")
            for column in ("load", "sent/s", "worker's core", "probes", "missed", "p50 ms", "p99 ms", "max ms"):
                table.add_column(column, justify="left" if column == "load" else "right")
            for name, rate in loads.items():
                table.add_row(name, *(await measure(at, worker, rate, options.seconds)).row())
            return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    Console().print(uvloop.run(compare(parser.parse_args())))


if __name__ == "__main__":
    main()
