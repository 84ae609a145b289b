"""The stream, measured: our batched worker beside stock Faust, on the same topic, doing the same to the same keys.

    python tests/bench/bench_stream.py [--events 100000] [--stock-events 10000] [--runs 3]

Both judge every event by the same config and keep sessions, recent lists and hot lists in Redis. Stock Faust does it
as its documentation shows, one event and one pipelined round trip at a time, without a fence; ours one fenced script
a batch. A broker and a Redis of their own are started. CPU is the worker's own (`time.process_time`, threads
included), from its first batch to its last; runs alternate, the median counts. A run after which Redis does not hold
every event is an error. Bursty traffic: a user's ten or so
events come together. Uniform: nearly every event is another user's.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.servers import running_server
from schemas.event import Event
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.topics import raw_topic
from streams.app import lanes_app, run_worker
from streams.collector import settle_collector
from streams.config import StreamConfig
from streams.features.model import DAY_MS, ScenarioSignals
from streams.features.sink import RedisFeatureSink
from streams.features_agent import FeaturesStep
from streams.transport import Batch
from tests.factories import NOON
from tests.streams.live import make_topic
from tracking_configs.from_template import from_template
from tracking_configs.judge import Arrival, Judge
from tracking_configs.model import config_of
from tracking_configs.registry import ConfigRegistry
from tracking_configs.template import load_templates

USERS, ITEMS, BURST, PARTITIONS = 20_000, 5_000, 10, 4
SCENARIO: Final = "game"
ACTIONS = ("impression", "impression", "click", "play", "play", "favorite")
GAP_MS: Final = 30 * 60_000
HALF_LIFE_MS: Final = DAY_MS // 4


@dataclass(frozen=True)
class Job:
    """What a worker process is told, as JSON on its command line."""

    kafka: str
    redis: str
    tenant: str
    events: int
    kind: str  # ours or stock


def make_judge(tenant: str) -> Judge:
    registry = ConfigRegistry()
    draft = from_template(load_templates()[SCENARIO], tenant, SCENARIO, "Bench")
    registry.apply(config_of(draft, version=1, created_at=NOON, updated_at=NOON))
    return Judge(registry)


def make_bodies(traffic: str, tenant: str, count: int) -> list[tuple[str, bytes]]:
    """(user, event) pairs, about 400 bytes each, 2 ms apart; items by Zipf's law."""
    choose, now, user = random.Random(7), time.time_ns() // 1_000_000, ""
    items = choose.choices(range(ITEMS), weights=[1 / rank for rank in range(1, ITEMS + 1)], k=count)
    bodies = []
    for number, item in enumerate(items):
        if traffic == "uniform" or number % BURST == 0:
            user = f"user_{choose.randrange(USERS)}"
        action = choose.choice(ACTIONS)
        data: dict[str, Any] = {"category": f"cat_{item % 30}", "provider": "Reelworks", "rtp": 96.2}
        if action == "play":
            data["duration"] = 30
        body = {
            "event_id": f"evt_{choose.getrandbits(64):016x}",
            "tenant_id": tenant,
            "scenario_id": SCENARIO,
            "user_id": user,
            "item_id": f"item_{item}",
            "action_type": action,
            "timestamp": now - 2 * (count - number),
            "context": {"device_type": "mobile", "os": "Android 14", "scene": "slots", "location": "Singapore"},
            "scenario_data": {"game_data": data},
        }
        bodies.append((user, msgspec.json.encode(body)))
    return bodies


async def fill(kafka: str, tenant: str, bodies: list[tuple[str, bytes]]) -> None:
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    for user, body in bodies:
        await producer.send(raw_topic(tenant), body, key=user.encode())
    await producer.stop()


class Clock:
    """CPU and wall time from the first batch to the event that makes the job complete."""

    def __init__(self, events: int, stop: Callable[[], None]) -> None:
        self._left = events
        self._stop = stop
        self._began: tuple[float, float] | None = None
        self._first = 0
        self._events = events
        self.result: dict[str, float] = {}

    def count(self, done: int) -> None:
        now = (time.process_time(), time.perf_counter())
        if self._began is None:
            self._began, self._first = now, done
        self._left -= done
        if self._left <= 0 and not self.result:
            cpu_s, wall_s = (end - start for end, start in zip(now, self._began, strict=True))
            events = self._events - self._left - self._first
            self.result = {"events": events, "cpu_s": cpu_s, "wall_s": wall_s}
            self._stop()


async def ours(job: Job) -> dict[str, float]:
    """The features worker of the platform."""
    stop = asyncio.Event()
    clock = Clock(job.events, stop.set)
    redis = Redis.from_url(job.redis)
    settle_collector()

    class Counted(FeaturesStep):
        async def process(self, batch: Batch) -> int | None:
            read_on = await super().process(batch)
            clock.count(len(batch.records))
            return read_on

    step = Counted(RedisFeatureSink(redis, lambda *_: ScenarioSignals(GAP_MS, HALF_LIFE_MS)), make_judge(job.tenant))
    config = StreamConfig(KafkaDsn.parse(job.kafka), group_prefix=f"bench-{time.time_ns()}-")
    await run_worker(lambda: lanes_app("features", raw_topic(""), config, step), stop, asyncio.Event())
    await redis.aclose()
    return clock.result


async def stock(job: Job) -> dict[str, float]:
    """Stock Faust, one event at a time."""
    import faust

    stop = asyncio.Event()
    clock = Clock(job.events, stop.set)
    redis = Redis.from_url(job.redis)
    app = faust.App(
        f"bench-{time.time_ns()}",
        broker=f"kafka://{job.kafka}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        value_serializer="raw",
        datadir=tempfile.mkdtemp(),
    )
    judge, keys = make_judge(job.tenant), KeySpace(job.tenant)
    topic = app.topic(raw_topic(job.tenant), value_type=bytes, key_type=bytes)

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def features(stream: Any) -> None:
        async for record in stream.events():
            message = record.message
            arrived = int(message.timestamp * 1000)
            arrival = Arrival("kafka", arrived, job.tenant, message.topic, message.partition, message.offset)
            event = judge.judge(record.value, arrival)
            if isinstance(event, Event):
                await apply_one(redis, keys, event)
            clock.count(1)

    app.finalize()
    starting = asyncio.ensure_future(app.start())
    await stop.wait()
    await starting
    await app.stop()
    await redis.aclose()
    return clock.result


async def apply_one(redis: Redis, keys: KeySpace, event: Event) -> None:
    """Session, recent list and hot lists of one event, in one round trip."""
    session = keys.key("user:session", event.user_id)
    recent = keys.key("user:recent", event.user_id)
    entry = json.dumps([event.item_id, event.action_type, event.timestamp])
    pipe = redis.pipeline(transaction=False)
    pipe.hincrby(session, "events", 1)
    pipe.hincrby(session, f"a:{event.action_type}", 1)
    pipe.hset(session, mapping={"last_at": event.timestamp, "scenario": event.scenario_id, "device": "mobile"})
    pipe.expire(session, 90_000)
    pipe.sadd(keys.key("user:session_items", event.user_id), event.item_id)
    pipe.lpush(recent, entry)
    pipe.ltrim(recent, 0, 99)
    if event.weight > 0:
        score = event.weight * 2.0 ** (event.timestamp % HALF_LIFE_MS / HALF_LIFE_MS)
        pipe.zincrby(keys.key("hot:global"), score, event.item_id)
        pipe.zincrby(keys.key("hot:scenario", event.scenario_id), score, event.item_id)
        if event.category:
            pipe.zincrby(keys.key("hot:category", event.category), score, event.item_id)
    await pipe.execute()


async def measure(job: Job) -> dict[str, float]:
    """One run in a process of its own, on an empty Redis, which must hold every event afterwards."""
    redis = Redis.from_url(job.redis)
    await redis.flushall()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bench_stream", "--job", msgspec.json.encode(job).decode()),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    held = await events_in_sessions(redis, job.tenant)
    await redis.aclose()
    if held < job.events:
        raise RuntimeError(f"{job.kind} counted {job.events} events, but the sessions in Redis hold {held}")
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


async def events_in_sessions(redis: Redis, tenant: str) -> int:
    """A worker that rejects or skips events is quick; this is how it is found out."""
    pipe = redis.pipeline(transaction=False)
    async for session in redis.scan_iter(f"{tenant}:user:session:*", count=1000):
        pipe.hget(session, "events")
    return sum(int(events or 0) for events in await pipe.execute())


async def compare(traffic: str, events: int, stock_events: int, runs: int) -> Table:
    """Servers of its own for each kind of traffic: our worker reads every tenant there is."""
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        kafka = await servers.enter_async_context(running_server("kafka", "embedded", folder))
        redis = await servers.enter_async_context(running_server("redis", "embedded", folder))
        tenant = f"bench-{traffic}"
        await fill(kafka, tenant, make_bodies(traffic, tenant, events))
        jobs = [Job(kafka, redis, tenant, stock_events, "stock"), Job(kafka, redis, tenant, events, "ours")]
        results: dict[str, list[dict[str, float]]] = {job.kind: [] for job in jobs}
        for _ in range(runs):
            for job in jobs:
                results[job.kind].append(await measure(job))
        return table_of(traffic, results)


def table_of(traffic: str, results: dict[str, list[dict[str, float]]]) -> Table:
    table = Table(title=f"{traffic} traffic: judge, sessions, recents, hot lists")
    for column in ("worker", "events", "events per CPU-s", "events/s wall", "times stock"):
        table.add_column(column, justify="left" if column == "worker" else "right")
    per_cpu = {kind: statistics.median(run["events"] / run["cpu_s"] for run in of) for kind, of in results.items()}
    names = {"stock": "stock Faust, per event", "ours": "ours, per batch"}
    for kind, of in results.items():
        wall = statistics.median(run["events"] / run["wall_s"] for run in of)
        times = per_cpu[kind] / per_cpu["stock"]
        table.add_row(names[kind], f"{of[0]['events']:,.0f}", f"{per_cpu[kind]:,.0f}", f"{wall:,.0f}", f"{times:.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--stock-events", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--job", type=lambda text: msgspec.json.decode(text, type=Job), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run = ours if options.job.kind == "ours" else stock
        sys.stdout.write(json.dumps(uvloop.run(run(options.job))) + "\n")
    else:
        console = Console()
        for traffic in ("bursty", "uniform"):
            console.print(asyncio.run(compare(traffic, options.events, options.stock_events, options.runs)))


if __name__ == "__main__":
    main()
