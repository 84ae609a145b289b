"""The recommender worker's work on synthetic data: folding events in, computing lists, writing them.

`python -m tests.bench.bench_recommend` starts a Redis of its own, prints a table and asserts nothing.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.stack.ports import LOOPBACK, free_ports
from infra.stack.redis import redis_server
from recommenders.candidates import Query
from recommenders.tenant import TenantSettings, TenantState
from schemas.clock import system_clock
from schemas.event import Event
from schemas.validated import decode_event, encode_event
from tests.recommenders.factories import make_event, no_mix

USERS, ITEMS, EVENTS, BATCH = 2_000, 2_000, 100_000, 64
CATEGORIES = ("slots", "crash", "live", "table")
ROUNDS = 3


def make_events(scenario: str) -> list[Event]:
    """Items by 1/rank, users uniform; a third of the events are impressions."""
    draw = random.Random(7)
    weights = [1 / rank for rank in range(1, ITEMS + 1)]
    items = draw.choices(range(ITEMS), weights, k=EVENTS)
    return [
        make_event(
            user_id=f"u{draw.randrange(USERS)}",
            item_id=f"i{item}",
            scenario_id=scenario,
            weight=draw.choice((0.0, 1.0, 3.0)),
            category=CATEGORIES[item % len(CATEGORIES)],
            offset=offset,
        )
        for offset, item in enumerate(items)
    ]


async def fill_redis(redis: Redis, state: TenantState) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(ITEMS):
            category = CATEGORIES[number % len(CATEGORIES)]
            fields: dict[Any, Any] = {"name": f"Item number {number}", "category": category, "is_active": "1"}
            pipe.hset(state.keys.key("item", f"i{number}"), mapping=fields)
            for key in (
                state.keys.key("hot:global"),
                state.keys.key("hot:scenario", "game"),
                state.keys.key("hot:category", category),
            ):
                pipe.zadd(key, {f"i{number}": 1000 / (number + 1)})
        pipe.zadd(state.keys.key("items:new"), {f"i{number}": number for number in range(200)})
        await pipe.execute()


def queries_of(state: TenantState, users: list[str], scenes: tuple[str, ...]) -> list[Query]:
    found = []
    for user in users:
        history = state.histories.of(user)
        for scene in state.pipeline.scenes:
            if scene.name in scenes:
                items, seen = tuple(history.items), frozenset(history.seen)
                found.append(Query("bench", user, scene, system_clock(), "game", items, seen))
    return found


async def timed(call: Callable[[list[str]], Awaitable[object]], batches: list[list[str]]) -> tuple[float, list[float]]:
    """Users a second, the median of the rounds, and the ms of each batch."""
    rates, spent_ms = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for batch in batches:
            before = time.perf_counter()
            await call(batch)
            spent_ms.append((time.perf_counter() - before) * 1000)
        rates.append(sum(map(len, batches)) / (time.perf_counter() - start))
    return float(np.median(rates)), spent_ms


async def measure(redis: Redis, table: Table) -> None:
    state = TenantState("bench", TenantSettings(), no_mix, system_clock)
    values = [encode_event(event) for event in make_events("game")]
    start = time.perf_counter()
    for value in values:
        state.fold(decode_event(value))
    table.add_row("decode events and fold them in", f"{EVENTS / (time.perf_counter() - start):,.0f} events/s", "", "")
    await fill_redis(redis, state)
    users = [f"u{number}" for number in range(2_000)]
    await state.stores.refresh(redis, state.keys, queries_of(state, users[:1], ("home",)), system_clock())
    for _ in range(3):
        await state.stores.catalogue.refresh(redis, state.keys, system_clock())
    batches = [users[start : start + BATCH] for start in range(0, len(users), BATCH)]

    async def recall(batch: list[str]) -> None:
        for user in batch:
            state.stores.item_cf.recall(state.histories.of(user).items).best(100)

    async def compute(batch: list[str], *scenes: str) -> None:
        await state.runner.run(queries_of(state, batch, scenes))

    async def renew(batch: list[str], *scenes: str) -> None:
        queries = queries_of(state, batch, scenes)
        await state.stores.refresh(redis, state.keys, queries, system_clock())
        await state.lists.write(redis, await state.runner.run(queries))

    every = tuple(scene.name for scene in state.pipeline.scenes)
    ones = [[user] for user in users[:500]]
    rows: list[tuple[str, Callable[[list[str]], Awaitable[object]], list[list[str]]]] = [
        ("item-CF recall, one user", recall, ones),
        ("list, one user, home", lambda batch: compute(batch, "home"), ones),
        (f"lists, {BATCH} users, home", lambda batch: compute(batch, "home"), batches),
        (f"lists, {BATCH} users, 4 scenes", lambda batch: compute(batch, *every), batches),
        (f"lists and Redis, {BATCH} users, home", lambda batch: renew(batch, "home"), batches),
        (f"lists and Redis, {BATCH} users, 4 scenes", lambda batch: renew(batch, *every), batches),
    ]
    for name, call, work in rows:
        rate, spent_ms = await timed(call, work)
        p50, p99 = np.percentile(spent_ms, (50, 99))
        table.add_row(name, f"{rate:,.0f} users/s", f"{p50:.2f} ms", f"{p99:.2f} ms")


async def main() -> None:
    table = Table("recommender", "rate", "p50 of a batch", "p99")
    with tempfile.TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        server = redis_server("embedded", Path(folder) / "redis", Path(folder) / "redis.log", port)
        await server.run()
        redis = Redis(host=LOOPBACK, port=port)
        try:
            await measure(redis, table)
        finally:
            await redis.aclose()
            await server.stop()
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
