"""One job for every worker of `bench_stream`: the events, the judge, the clock, and what is written, as commands."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from schemas.event import Event
from schemas.keys import KeySpace
from schemas.topics import raw_topic
from streams.features.model import DAY_MS
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
    kind: str  # one of bench_stream.WORKERS


def make_judge(tenant: str) -> Judge:
    registry = ConfigRegistry()
    draft = from_template(load_templates()[SCENARIO], tenant, SCENARIO, "Bench")
    registry.apply(config_of(draft, version=1, created_at=NOON, updated_at=NOON))
    return Judge(registry)


def make_bodies(traffic: str, tenant: str, count: int, *, users: int = USERS) -> list[tuple[str, bytes]]:
    """(user, event) pairs, about 400 bytes each, 2 ms apart; items by Zipf's law."""
    choose, now, user = random.Random(7), time.time_ns() // 1_000_000, ""
    items = choose.choices(range(ITEMS), weights=[1 / rank for rank in range(1, ITEMS + 1)], k=count)
    bodies = []
    for number, item in enumerate(items):
        if traffic == "uniform" or number % BURST == 0:
            user = f"user_{choose.randrange(users)}"
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


def judged(judge: Judge, tenant: str, value: bytes, timestamp: int, partition: int, offset: int) -> Event:
    """The event of a record; every one of the job is good."""
    event = judge.judge(value, Arrival("kafka", timestamp, tenant, raw_topic(tenant), partition, offset))
    assert isinstance(event, Event)
    return event


Command = tuple[str | int | float, ...]


def commands_of(keys: KeySpace, events: Iterable[Event]) -> list[Command]:
    """Sessions, recent lists and hot lists of a batch, added up by user and by item: what a peer sends to Redis."""
    by_user: dict[str, list[Event]] = {}
    heat: dict[tuple[str, str], float] = {}
    for event in events:
        by_user.setdefault(event.user_id, []).append(event)
        if event.weight > 0:
            score = event.weight * 2.0 ** (event.timestamp % HALF_LIFE_MS / HALF_LIFE_MS)
            for name in ("hot:global", f"hot:scenario:{event.scenario_id}", f"hot:category:{event.category}"):
                heat[name, event.item_id] = heat.get((name, event.item_id), 0.0) + score
    made = [command for user, of_user in by_user.items() for command in _session(keys, user, of_user)]
    made += [("ZINCRBY", f"{keys.prefix}{name}", score, item) for (name, item), score in heat.items()]
    return made


def _session(keys: KeySpace, user: str, events: list[Event]) -> list[Command]:
    session, recent, newest = keys.key("user:session", user), keys.key("user:recent", user), events[-1]
    counts = Counter(event.action_type for event in events)
    return [
        ("HINCRBY", session, "events", len(events)),
        *(("HINCRBY", session, f"a:{action}", count) for action, count in counts.items()),
        ("HSET", session, "last_at", newest.timestamp, "scenario", newest.scenario_id, "device", "mobile"),
        ("EXPIRE", session, 90_000),
        ("SADD", keys.key("user:session_items", user), *{event.item_id for event in events}),
        ("LPUSH", recent, *(json.dumps([e.item_id, e.action_type, e.timestamp]) for e in events)),
        ("LTRIM", recent, 0, 99),
    ]
