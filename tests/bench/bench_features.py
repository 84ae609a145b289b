"""Features, measured: Python's time per event to build the deltas, Redis's time per script to apply them.

    python tests/bench/bench_features.py [--redis redis://127.0.0.1:6379] [--events 100000] [--batch 1000]

Bursty traffic: a user's ten or so events come together. Uniform: nearly every event is another user's. Without
`--redis` a redis-server of its own is started. Redis's time is its own count (INFO commandstats, usec of EVALSHA).
"""

import argparse
import asyncio
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from rich.console import Console
from rich.table import Table

from schemas.event import Context, Event
from streams.features.deltas import DeltaBuilder
from streams.features.model import DAY_MS, ScenarioSignals
from streams.features.sink import Applied, RedisFeatureSink
from tests.factories import NOON, make_event

USERS, ITEMS, BURST, RUNS = 20_000, 5_000, 10, 3
ACTIONS = ("impression", "impression", "click", "play", "play_end", "like")
WEIGHTS = {"impression": 0.0, "click": 1.0, "play": 1.0, "play_end": 2.0, "like": 3.0}
CONTEXT = Context("mobile")


def signals(tenant: str, scenario_id: str, scenario_type: str) -> ScenarioSignals:
    return ScenarioSignals(30 * 60_000, DAY_MS // 4)


def traffic(kind: str, events: int) -> list[Event]:
    """Sessions of the given kind, 10 ms apart; items by Zipf's law, two in three events of a known category."""
    choose = random.Random(7)
    items = choose.choices(range(ITEMS), weights=[1 / rank for rank in range(1, ITEMS + 1)], k=events)
    user, made = "", []
    for offset, item in enumerate(items):
        if kind == "uniform" or offset % BURST == 0:
            user = f"user_{choose.randrange(USERS)}"
        action = choose.choice(ACTIONS)
        made.append(
            make_event(
                event_id=f"evt_{choose.getrandbits(64):016x}",
                user_id=user,
                item_id=f"item_{item}",
                action_type=action,
                weight=WEIGHTS[action],
                timestamp=NOON + 10 * offset,
                received_at=NOON + 10 * offset + 5,
                category=f"cat_{item % 30}" if item % 3 else None,
                dwell_ms=1500 if action == "play_end" else 0,
                context=CONTEXT,
                offset=offset,
            )
        )
    return made


def batches(events: list[Event], size: int) -> list[list[Event]]:
    return [events[at : at + size] for at in range(0, len(events), size)]


def python_us(events: list[Event], size: int) -> float:
    """Microseconds of this process's CPU an event, deltas and packing; median of the runs."""
    builder, took = DeltaBuilder("bench", signals, NOON), []
    for _ in range(RUNS):
        began = time.process_time()
        for batch in batches(events, size):
            builder.build(batch)
        took.append((time.process_time() - began) / len(events) * 1e6)
    return statistics.median(took)


async def whole(redis: Redis, events: list[Event], size: int) -> tuple[float, float, float, float]:
    """(Redis ms a script, events a script, Redis us an event, us of this process's CPU an event, I/O included)."""
    await redis.flushall()
    await redis.config_resetstat()
    sink, expected = RedisFeatureSink(redis, signals), None
    began = time.process_time()
    for batch in batches(events, size):
        outcome = await sink.apply("bench", 0, 1, expected, batch[-1].offset, batch)
        assert isinstance(outcome, Applied)
        expected = batch[-1].offset
    python = (time.process_time() - began) / len(events) * 1e6
    stats = (await redis.info("commandstats"))["cmdstat_evalsha"]
    scripts = stats["calls"] - stats.get("failed_calls", 0)
    return stats["usec"] / scripts / 1000, len(events) / scripts, stats["usec"] / len(events), python


@contextmanager
def own_redis() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("redis-server")),
        "--port",
        str(port),
        "--save",
        "",
        "--bind",
        "127.0.0.1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


async def measure(url: str, events: int, size: int) -> Table:
    names = (
        "traffic",
        "python us/event",
        "python us/event, I/O too",
        "redis ms/script",
        "events/script",
        "redis us/event",
    )
    table = Table(*names, title=f"{events} events, batches of {size}")
    async with Redis.from_url(url, retry=Retry(ConstantBackoff(0.1), 50)) as redis:
        for kind in ("bursty", "uniform"):
            made = traffic(kind, events)
            deltas = python_us(made, size)
            script_ms, per_script, redis_us, python = await whole(redis, made, size)
            figures = (deltas, python, script_ms, per_script, redis_us)
            table.add_row(kind, *(f"{figure:.1f}" for figure in figures))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", help="a server to use; it is emptied")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    with nullcontext(options.redis) if options.redis else own_redis() as url:
        Console().print(asyncio.run(measure(url, options.events, options.batch)))


if __name__ == "__main__":
    main()
