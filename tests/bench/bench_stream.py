"""The stream, measured: our worker beside its Python peers, on the same topic, with the same judge and the same keys.

    python -m tests.bench bench_stream [--events 300000] [--slow-events 40000] [--runs 3] [--stack native]

All judge every event by the same config and keep sessions, recent lists and hot lists in Redis; ours also keeps a
fence, drops duplicates, ends sessions by event time and caps what a user adds. The peers (`stream_peers.py`) come
with `make bench`; one that is not installed says so in its row. A broker and a Redis of their own are started, on one
core, the worker runs on another. CPU is the worker's own (`time.process_time`, threads included), from its first batch
to its last; runs alternate, the median counts. A run after which Redis does not hold every event is an error. Bursty
traffic: a user's ten or so events come together. Uniform: nearly every event is another user's, of `--users`. Stock
Faust reads only the first `--slow-events`. PyFlink is left out: it wants a JVM and gigabytes.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS
from infra.stack.servers import running_server
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.app import lanes_app, run_worker
from streams.config import StreamConfig
from streams.features.model import ScenarioSignals
from streams.features.sink import RedisFeatureSink
from streams.features_agent import FeaturesStep
from streams.interpreter import settle_interpreter
from streams.transport import Batch
from tests.bench.stream_job import GAP_MS, HALF_LIFE_MS, Clock, Job, fill, make_bodies, make_judge
from tests.bench.stream_peers import PEERS, Result
from tracking_configs.lean_judge import LeanJudge

__all__ = ["fill", "make_bodies", "make_judge"]

OURS = "millrace"
SLOW = "faust"
GIVE_UP_S = 300
USERS = {"bursty": 20_000, "uniform": 1_000_000}


async def ours(job: Job) -> Result:
    """The features worker of the platform."""
    stop = asyncio.Event()
    clock = Clock(job.events, stop.set)
    redis = Redis.from_url(job.redis)
    settle_interpreter()

    class Counted(FeaturesStep):
        async def process(self, batch: Batch) -> int | None:
            read_on = await super().process(batch)
            clock.count(len(batch.records))
            return read_on

    sink = RedisFeatureSink(redis, lambda *_: ScenarioSignals(GAP_MS, HALF_LIFE_MS))
    step = Counted(sink, LeanJudge(make_judge(job.tenant)))
    config = StreamConfig(KafkaDsn.parse(job.kafka), group_prefix=f"bench-{time.time_ns()}-")
    await run_worker(lambda: lanes_app("features", raw_topic(""), config, step), stop, asyncio.Event())
    await redis.aclose()
    return clock.result


async def measure(job: Job) -> Result:
    """One run in a process of its own, on an empty Redis, which must hold every event afterwards."""
    redis = Redis.from_url(job.redis)
    await redis.flushall()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bench_stream", "--job", msgspec.json.encode(job).decode()),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), GIVE_UP_S)
    except TimeoutError:
        process.kill()
        raise
    held = await events_in_sessions(redis, job.tenant)
    await redis.aclose()
    if held < job.events:
        raise RuntimeError(f"{job.kind} counted {job.events} events, but the sessions in Redis hold {held}")
    result: Result = json.loads(output.splitlines()[-1])
    return result


async def events_in_sessions(redis: Redis, tenant: str) -> int:
    """A worker that rejects or skips events is quick; this is how it is found out."""
    pipe = redis.pipeline(transaction=False)
    async for session in redis.scan_iter(f"{tenant}:user:session:*", count=1000):
        pipe.hget(session, "events")
    return sum(int(events or 0) for events in await pipe.execute())


async def compare(traffic: str, options: argparse.Namespace) -> Table:
    """Servers of its own for each kind of traffic: our worker reads every tenant there is."""
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        kafka = await servers.enter_async_context(running_server("kafka", options.stack, folder))
        redis = await servers.enter_async_context(running_server("redis", options.stack, folder))
        tenant = f"bench-{traffic}"
        await fill(kafka, tenant, make_bodies(traffic, tenant, options.events, users=USERS[traffic]))
        kinds = [OURS, *(kind for kind in PEERS if kind in sys.modules or importlib.util.find_spec(kind))]
        results: dict[str, list[Result]] = {kind: [] for kind in kinds}
        for _ in range(options.runs):
            for kind, of in results.items():
                events = min(options.events, options.slow_events) if kind == SLOW else options.events
                of.append(await measure(Job(kafka, redis, tenant, events, kind)))
        return table_of(traffic, results)


def table_of(traffic: str, results: dict[str, list[Result]]) -> Table:
    table = Table(title=f"{traffic} traffic: judge, sessions, recents, hot lists")
    for column in ("worker", "events", "events per CPU-s", "events/s wall", "Millrace is"):
        table.add_column(column, justify="left" if column == "worker" else "right")
    per_cpu = {kind: statistics.median(run["events"] / run["cpu_s"] for run in of) for kind, of in results.items()}
    names = {OURS: "Millrace", **{kind: name for kind, (name, _) in PEERS.items()}}
    for kind, name in names.items():
        if kind not in results:
            table.add_row(name, "not installed: make bench")
            continue
        wall = statistics.median(run["events"] / run["wall_s"] for run in results[kind])
        figures = (f"{results[kind][0]['events']:,.0f}", f"{per_cpu[kind]:,.0f}", f"{wall:,.0f}")
        table.add_row(name, *figures, f"{per_cpu[OURS] / per_cpu[kind]:.1f} x")
    return table


def work(job: Job) -> Result:
    if os.cpu_count() != 1:
        os.sched_setaffinity(0, {0})
    return uvloop.run(ours(job)) if job.kind == OURS else PEERS[job.kind][1](job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--slow-events", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--traffic", choices=tuple(USERS), action="append")
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    parser.add_argument("--job", type=lambda text: msgspec.json.decode(text, type=Job), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        sys.stdout.write(json.dumps(work(options.job)) + "\n")
        return
    if os.cpu_count() != 1:
        os.sched_setaffinity(0, {1})  # the servers, which inherit it
    for traffic in options.traffic or USERS:
        Console().print(asyncio.run(compare(traffic, options)))


if __name__ == "__main__":
    main()
