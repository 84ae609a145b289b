"""How old an event is when it shows: in its user's session, and as a changed recommendation list.

    python -m tests.bench.bench_freshness [--rate 500] [--seconds 20]

Events go to raw Kafka at a steady rate, from a pool of users with some history, over the whole embedded platform.
Every event is a probe: Redis is asked again and again until the session's `last_at`, and the list's `computed_at`,
have reached the moment it was sent. The asking interval, 5 ms, is part of the figures.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from infra.platform import start_platform
from schemas.topics import raw_topic

TENANT, USERS, ITEMS, ASK_EVERY_S, GIVE_UP_S = "bench", 4000, 500, 0.005, 10.0


class Probe:
    """Waits for one field of many users' hashes to reach the times their events were sent."""

    def __init__(
        self, redis: Redis, key: Callable[[str], str], field: str, *, ask_every_s: float = ASK_EVERY_S
    ) -> None:
        self._redis, self._key, self._field, self._ask_every_s = redis, key, field, ask_every_s
        self._waiting: dict[str, int] = {}
        self.ages_ms: list[float] = []
        self.missed = 0
        self._ending = False

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask until the end, and then until the last one is found or missed."""
        task = asyncio.create_task(self._ask())
        yield
        self._ending = True  # a client of Redis may swallow a cancellation
        await task

    def expect(self, user: str, sent_ms: int) -> None:
        self._waiting.setdefault(user, sent_ms)

    async def _ask(self) -> None:
        while self._waiting or not self._ending:
            await asyncio.sleep(self._ask_every_s)
            users = list(self._waiting)
            if not users:
                continue
            pipe = self._redis.pipeline(transaction=False)
            for user in users:
                pipe.hget(self._key(user), self._field)
            self._note(dict(zip(users, await pipe.execute(), strict=True)))

    def _note(self, found: dict[str, bytes | None]) -> None:
        now_ms = time.time() * 1000
        for user, value in found.items():
            sent_ms = self._waiting[user]
            if value is not None and int(value) >= sent_ms:
                self.ages_ms.append(now_ms - sent_ms)
                del self._waiting[user]
            elif now_ms - sent_ms > GIVE_UP_S * 1000:
                self.missed += 1
                del self._waiting[user]


def event(user: str, dice: random.Random) -> bytes:
    body = {
        "event_id": f"evt_{dice.getrandbits(64):016x}",
        "tenant_id": TENANT,
        "scenario_id": "feed",
        "user_id": user,
        "item_id": f"i{int(ITEMS * dice.random() ** 2)}",
        "action_type": "play",
        "timestamp": time.time_ns() // 1_000_000,
        "context": {"device_type": "mobile"},
    }
    return msgspec.json.encode(body)


async def send(producer: AIOKafkaProducer, rate: int, seconds: float, probes: list[Probe]) -> None:
    """At a steady rate; ids are random, as an id sent twice counts once."""
    dice, start, sent = random.Random(), time.monotonic(), 0
    users = [f"u{number}" for number in range(USERS)]
    while (elapsed := time.monotonic() - start) < seconds:
        while sent < elapsed * rate:
            user = users[sent % USERS]
            now_ms = time.time_ns() // 1_000_000
            await producer.send(raw_topic(TENANT), event(user, dice), key=user.encode())
            for probe in probes:
                probe.expect(user, now_ms)
            sent += 1
        await asyncio.sleep(0.002)
    await producer.flush()


async def measure(rate: int, seconds: float) -> dict[str, Probe]:
    with tempfile.TemporaryDirectory() as folder:
        async with start_platform(Path(folder)) as platform, Redis.from_url(platform.endpoints["redis"]) as redis:
            async with AIOKafkaProducer(bootstrap_servers=platform.endpoints["kafka"], linger_ms=1) as producer:
                await send(producer, 2000, USERS / 2000 * 2, [])  # two events a user: topics, sessions, lists
                await asyncio.sleep(5)
                probes = {
                    "session in Redis": Probe(redis, lambda user: f"{TENANT}:user:session:{user}", "last_at"),
                    "changed rec:cache": Probe(redis, lambda user: f"{TENANT}:rec:meta:{user}:home", "computed_at"),
                }
                async with AsyncExitStack() as asking:
                    for probe in probes.values():
                        await asking.enter_async_context(probe.asking())
                    await send(producer, rate, seconds, list(probes.values()))
            return probes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    probes = asyncio.run(measure(options.rate, options.seconds))
    table = Table(title=f"event to what it changes, {options.rate} events/s by raw Kafka, embedded stack")
    for column in ("what", "probes", "missed", "p50 ms", "p99 ms", "max ms"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, probe in probes.items():
        cuts = statistics.quantiles(probe.ages_ms, n=100)
        figures = [f"{value:.0f}" for value in (cuts[49], cuts[98], max(probe.ages_ms))]
        table.add_row(name, str(len(probe.ages_ms)), str(probe.missed), *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
