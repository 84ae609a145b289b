"""Fairness: what one tenant's flood does to how soon another's events show in Redis.

    python -m tests.bench.bench_fairness [--rate 200] [--noisy-rate 0] [--seconds 15] [--traffic uniform]

The tenant `quiet` sends events at a steady rate, and of each it is measured when its session in Redis has it. Once
alone, once while the worker has a backlog of the tenant `noisy` before it, which it works off as fast as it can, all
the time; or, with `--noisy-rate`, while that tenant sends so many events a second, such as a hundred times the quiet
one's. With fairness as the worker has it by default, and without: a tenant's batches as large as a lone tenant's, and
as many at work as there are partitions. Servers of their own for each; the worker is a process of its own, with both
consumer groups of `millrace worker stream`, or with `--roles features` alone. The asking interval, 2 ms, is part of
the figures.
"""

import argparse
import asyncio
import itertools
import logging
import random
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import structlog
import uvloop
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.servers import running_server
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.config import StreamConfig
from streams.features.model import DAY_MS, ScenarioSignals
from streams.features.sink import RedisFeatureSink
from streams.interpreter import settle_interpreter
from streams.workers import run_features, run_judge
from tests.bench.bench_freshness import Probe
from tests.bench.bench_stream import make_bodies
from tests.factories import NOON
from tests.streams.live import make_topic
from tracking_configs.from_template import from_template
from tracking_configs.judge import Judge
from tracking_configs.lean_judge import LeanJudge
from tracking_configs.model import config_of
from tracking_configs.registry import ConfigRegistry
from tracking_configs.template import load_templates

QUIET, NOISY, SCENARIO, PARTITIONS, USERS = "quiet", "noisy", "game", 4, 2000
ASK_EVERY_S: Final = 0.002
BACKLOG_PER_S: Final = 40_000  # more than a worker takes on one core
FLOOD_EVERY_S: Final = 0.02
WARM_UP_S: Final = 4.0
STOPPING_S: Final = 10
EVENT_ID, TIMESTAMP = re.compile(rb"evt_[0-9a-f]{16}"), re.compile(rb'"timestamp":\d+')


@dataclass(frozen=True)
class Job:
    """What a worker process is told, as JSON on its command line."""

    kafka: str
    redis: str
    roles: str  # stream or features
    fair: bool


async def work(job: Job) -> None:
    """The worker, until SIGTERM."""
    registry = ConfigRegistry()
    for tenant in (QUIET, NOISY):
        draft = from_template(load_templates()[SCENARIO], tenant, SCENARIO, "Bench")
        registry.apply(config_of(draft, version=1, created_at=NOON, updated_at=NOON))
    settle_interpreter()
    judge, stop, config = Judge(registry), asyncio.Event(), StreamConfig(KafkaDsn.parse(job.kafka))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = config if job.fair else replace(config, turn_records=None)
    async with Redis.from_url(job.redis) as redis, asyncio.TaskGroup() as group:
        sink = RedisFeatureSink(redis, lambda *_: ScenarioSignals(30 * 60_000, DAY_MS // 4))
        ready = [asyncio.Event()]
        group.create_task(run_features(config, sink, LeanJudge(judge), stop, ready[0]))
        if job.roles == "stream":
            ready.append(asyncio.Event())
            group.create_task(run_judge(config, judge, stop, ready[1]))
        while not all(event.is_set() for event in ready) and not stop.is_set():
            await asyncio.sleep(0.01)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


@asynccontextmanager
async def worker(job: Job) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bench_fairness", "--job", msgspec.json.encode(job).decode()),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise SystemExit("the worker ended before it was ready")
        yield
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOPPING_S)
        except TimeoutError:
            process.kill()
            raise SystemExit(f"the worker did not stop within {STOPPING_S} s") from None


Records = Iterator[tuple[int, bytes, bytes]]  # partition, key, value


def noisy_records(traffic: str, began_ms: int, per_ms: float) -> Records:
    """Events of that tenant without end, each with an id of its own, so many a millisecond of event time."""
    bodies, dice = make_bodies(traffic, NOISY, 20_000), random.Random(1)
    for number, (user, body) in enumerate(itertools.cycle(bodies)):
        event_id, at_ms = b"evt_%016x" % dice.getrandbits(64), b"%d" % (began_ms + number / per_ms)
        value = TIMESTAMP.sub(b'"timestamp":' + at_ms, EVENT_ID.sub(event_id, body, 1), 1)
        yield hash(user) % PARTITIONS, user.encode(), value


async def fill(producer: AIOKafkaProducer, topic: str, records: Records, count: int) -> None:
    """Send so many of the records, in full batches but for the last of each partition."""
    builders: dict[int, Any] = {}
    for partition, key, value in itertools.islice(records, count):
        builder = builders.setdefault(partition, producer.create_batch())
        if builder.append(timestamp=None, key=key, value=value) is None:
            await (await producer.send_batch(builder, topic, partition=partition))
            builders[partition] = producer.create_batch()
            builders[partition].append(timestamp=None, key=key, value=value)
    for partition, builder in builders.items():
        await producer.send_batch(builder, topic, partition=partition)
    await producer.flush()


@asynccontextmanager
async def noise(kafka: str, options: argparse.Namespace) -> AsyncIterator[None]:
    """The noisy tenant: a backlog that outlasts the run, or so many events a second meanwhile."""
    rate, now_ms, topic = options.noisy_rate, time.time_ns() // 1_000_000, raw_topic(NOISY)
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_batch_size=256 * 1024) as producer:
        if rate == 0:
            count = int(BACKLOG_PER_S * (options.seconds + 2 * WARM_UP_S))
            await fill(producer, topic, noisy_records(options.traffic, now_ms - count, 1), count)
            yield
            return
        flooding = asyncio.create_task(
            flood(producer, topic, noisy_records(options.traffic, now_ms, rate / 1000), rate)
        )
        yield
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


async def flood(producer: AIOKafkaProducer, topic: str, records: Records, rate: int) -> None:
    """At a steady rate, as a producer sends that lingers for FLOOD_EVERY_S."""
    start, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - start) * rate) - sent
        await fill(producer, topic, records, due)
        sent += due
        await asyncio.sleep(FLOOD_EVERY_S)


async def send(kafka: str, rate: int, seconds: float, probe: Probe) -> None:
    """The quiet tenant's events, one every 1/rate s, each probed once the worker is warm."""
    bodies = itertools.cycle(make_bodies("uniform", QUIET, USERS))
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=0) as producer:
        start, sent, dice = time.monotonic(), 0, random.Random()
        while (elapsed := time.monotonic() - start) < WARM_UP_S + seconds:
            while sent < elapsed * rate:
                user, now_ms = f"u{sent % USERS}", time.time_ns() // 1_000_000
                body = msgspec.json.decode(next(bodies)[1])
                body |= {"event_id": f"evt_{dice.getrandbits(64):016x}", "user_id": user, "timestamp": now_ms}
                await producer.send(raw_topic(QUIET), msgspec.json.encode(body), key=user.encode())
                if elapsed > WARM_UP_S:
                    probe.expect(user, now_ms)
                sent += 1
            await asyncio.sleep(0.001)
        await producer.flush()


@dataclass(frozen=True)
class Measured:
    ages_ms: list[float]
    missed: int
    noisy_per_s: float

    def percentile(self, hundredth: int) -> float:
        return statistics.quantiles(self.ages_ms, n=100)[hundredth - 1]


async def applied(redis: Redis, tenant: str) -> int:
    """How many raw records of a tenant the features have taken: the fences' offsets, summed."""
    fences = cast(dict[bytes, bytes], await redis.hgetall(f"{tenant}:fence:features"))
    return sum(int(fence.split(b":")[1]) + 1 for fence in fences.values())


async def measure(job: Job, rate: int, seconds: float) -> Measured:
    async with Redis.from_url(job.redis) as redis, worker(job):
        probe = Probe(redis, lambda user: f"{QUIET}:user:session:{user}", "last_at", ask_every_s=ASK_EVERY_S)
        async with probe.asking():
            before, began = await applied(redis, NOISY), time.monotonic()
            await send(job.kafka, rate, seconds, probe)
            taken, took_s = await applied(redis, NOISY) - before, time.monotonic() - began
        return Measured(probe.ages_ms, probe.missed, taken / took_s)


async def compare(options: argparse.Namespace, fair: bool) -> tuple[Measured, Measured]:
    """(alone, beside the noisy tenant)."""
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        kafka = await servers.enter_async_context(running_server("kafka", "embedded", folder))
        redis = await servers.enter_async_context(running_server("redis", "embedded", folder))
        job = Job(kafka, redis, options.roles, fair)
        for tenant in (QUIET, NOISY):
            await make_topic(kafka, raw_topic(tenant), PARTITIONS)
        alone = await measure(job, options.rate, options.seconds)
        async with noise(kafka, options):
            return alone, await measure(job, options.rate, options.seconds)


def rows(fair: bool, alone: Measured, beside: Measured) -> list[list[str]]:
    made = []
    for name, measured in (("alone", alone), ("beside noisy", beside)):
        figures = [f"{measured.percentile(hundredth):.1f}" for hundredth in (50, 99)]
        factor = f"{measured.percentile(99) / alone.percentile(99):.2f}"
        noisy = f"{measured.noisy_per_s:,.0f}"
        counts = [str(len(measured.ages_ms)), str(measured.missed)]
        made.append(["on" if fair else "off", name, *counts, *figures, factor, noisy])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="events a second of the quiet tenant")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--noisy-rate", type=int, default=0, help="of the noisy tenant; 0: a backlog without end")
    parser.add_argument("--traffic", choices=("uniform", "bursty"), default="uniform")
    parser.add_argument("--roles", choices=("stream", "features"), default="stream")
    parser.add_argument("--fair", choices=("on", "off", "both"), default="both")
    parser.add_argument("--job", type=lambda text: msgspec.json.decode(text, type=Job), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        uvloop.run(work(options.job))
        return
    noisy = f"{options.traffic}, {options.noisy_rate or 'a backlog'}"
    table = Table(title=f"quiet at {options.rate} events/s: sent until in Redis; noisy {noisy}")
    for column in ("fairness", "quiet is", "probes", "missed", "p50 ms", "p99 ms", "times p99 alone", "noisy events/s"):
        table.add_column(column, justify="right" if column not in ("fairness", "quiet is") else "left")
    for fair in {"on": [True], "off": [False], "both": [True, False]}[options.fair]:
        for row in rows(fair, *asyncio.run(compare(options, fair))):
            table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
