"""What clients send when things go wrong with them: retries, events out of order, two partitioners, skewed clocks,
and records that are no events, in each partition. Seeded; every record carries its own time of arrival.
"""

import gzip
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from schemas.limits import MAX_EVENT_BYTES
from schemas.topics import raw_topic
from tests.e2e.traffic import make_traffic

PARTITIONS = 4
SPLIT_USERS = frozenset(f"split{n}" for n in range(40))
SPLIT_EVENTS = 40  # of each: fewer than a recent list holds, each on another item
POISONS = 7  # values that are no event of the tenant, each once in a partition
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One record. `partition` None leaves it to the partitioner of `client`."""

    value: bytes | None
    key: bytes
    arrival: int
    client: str = "java"
    partition: int | None = None


def make_sent(tenant: str, *, count: int, now_ms: int, seed: int = 11) -> list[Sent]:
    """About `count` records in the order of sending: those of ordinary users, whose order counts, by one client;
    those of SPLIT_USERS by two, whose partitioners disagree; poison in each partition."""
    dice = random.Random(seed)
    ordinary = [
        sent_event(event, now_ms, dice)
        for event in make_traffic(tenant, count=count - len(SPLIT_USERS) * SPLIT_EVENTS, now_ms=now_ms, seed=seed).good
    ]
    sent = scattered(ordinary, list(split_events(tenant, now_ms, dice)), dice)
    sent = with_retries(swapped(sent, dice), dice)
    return scattered(sent, list(poison(tenant, now_ms)), dice)


def sent_event(event: dict[str, Any], now_ms: int, dice: random.Random, client: str = "java") -> Sent:
    """Arrives soon after it happened, or late, or before: its sender's clock is three minutes fast."""
    delay_ms = dice.choice((5, 5, 5, 3000, 90_000, -3 * MINUTE_MS))
    arrival = min(event["timestamp"] + delay_ms, now_ms)
    return Sent(msgspec.json.encode(event), event["user_id"].encode(), arrival, client)


def split_events(tenant: str, now_ms: int, dice: random.Random) -> Iterator[Sent]:
    """Within one session, so that in whatever order partitions are read the counts are the same."""
    for number in range(SPLIT_EVENTS):
        for user in sorted(SPLIT_USERS):
            event = {
                "event_id": f"evt_{user}_{number}",
                "tenant_id": tenant,
                "scenario_id": "vlog_feed",
                "user_id": user,
                "item_id": f"i{number}",
                "action_type": dice.choice(("impression", "click", "play", "like")),
                "timestamp": now_ms - 25 * MINUTE_MS + dice.randint(0, 20 * MINUTE_MS),
                "context": {"device_type": "mobile"},
            }
            yield sent_event(event, now_ms, dice, client=dice.choice(("java", "librdkafka")))


def swapped(sent: list[Sent], dice: random.Random) -> list[Sent]:
    """One in twenty overtakes the five before it, those of its own user among them."""
    for place in range(5, len(sent)):
        if dice.random() < 0.05:
            sent[place - 5 : place + 1] = [sent[place], *sent[place - 5 : place]]
    return sent


def with_retries(sent: Sequence[Sent], dice: random.Random) -> list[Sent]:
    """One in thirty is sent again some time later, a split user's by the other client as often as not."""
    placed = [(float(place), each) for place, each in enumerate(sent)]
    for place, each in enumerate(sent):
        if dice.random() < 1 / 30:
            is_split = each.key.decode() in SPLIT_USERS
            client = dice.choice(("java", "librdkafka")) if is_split else each.client
            placed.append((place + dice.randint(1, 400) + 0.5, replace(each, client=client)))
    return [each for _, each in sorted(placed, key=lambda found: found[0])]


def poison(tenant: str, now_ms: int) -> Iterator[Sent]:
    """What is no event of this tenant, once in each partition; a batch in gzip brings it."""
    event = {"event_id": "evt_x", "tenant_id": tenant, "scenario_id": "s", "user_id": "u", "item_id": "i"}
    good = msgspec.json.encode(event | {"action_type": "play", "timestamp": now_ms})
    values = (
        b"not json",
        b"",
        None,
        good.ljust(MAX_EVENT_BYTES + 1),
        b"\xff\xfe" + good,
        good.replace(tenant.encode(), b"another"),
        gzip.compress(good, mtime=0),
    )
    for partition in range(PARTITIONS):
        for value in values:
            yield Sent(value, b"poison", now_ms, client="gzip", partition=partition)


def scattered(sent: Sequence[Sent], among: Sequence[Sent], dice: random.Random) -> list[Sent]:
    """Both, each in its own order."""
    places = sorted(dice.sample(range(len(sent) + len(among)), len(among)))
    rest, others, taken = iter(sent), iter(among), set(places)
    return [next(others) if place in taken else next(rest) for place in range(len(sent) + len(among))]


def by_crc32(key: bytes, all_partitions: Sequence[int], available: Sequence[int]) -> int:
    """librdkafka's default; Java's is murmur2."""
    return all_partitions[zlib.crc32(key) % len(all_partitions)]


class Clients:
    """Producers of three kinds; `send` gives a future each, so that order is kept and nothing waits."""

    def __init__(self, kafka: str, tenant: str) -> None:
        self._topic = raw_topic(tenant)
        self._kafka = kafka
        self._stack = AsyncExitStack()
        self._producers: dict[str, AIOKafkaProducer] = {}

    async def __aenter__(self) -> "Clients":
        options = {"bootstrap_servers": self._kafka, "enable_idempotence": True, "linger_ms": 5}
        self._producers = {
            "java": AIOKafkaProducer(**options, compression_type="lz4"),
            "librdkafka": AIOKafkaProducer(**options, partitioner=by_crc32),
            "gzip": AIOKafkaProducer(**options, compression_type="gzip"),
        }
        for producer in self._producers.values():
            await self._stack.enter_async_context(producer)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def send(self, sent: Sequence[Sent]) -> list[RecordMetadata]:
        """Returns when the broker has them all."""
        futures = [
            await self._producers[each.client].send(
                self._topic, each.value, key=each.key, partition=each.partition, timestamp_ms=each.arrival
            )
            for each in sent
        ]
        return [await future for future in futures]
