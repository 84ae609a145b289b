"""Traffic whose sessions are known beforehand, and what the platform made of it."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.single_object import load_codec
from schemas.topics import raw_topic, summaries_topic
from tests.factories import make_body
from tests.streams.live import producer_client

MINUTE = 60_000
GAP = 30 * MINUTE  # of the scenario that the events name
PARTITIONS = 2
CODEC = load_codec("session_summary")
ACTIONS = ("impression", "click", "play", "like")


class Sent(NamedTuple):
    """One event, and when it arrives."""

    user: str
    item: str
    action: str
    timestamp: int
    arrival: int


@dataclass
class Told:
    """What is known of a session from its events alone."""

    user: str
    started_at: int
    ended_at: int
    items: set[str] = field(default_factory=set)
    actions: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        return {
            "user_id": self.user,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "events": self.actions.total(),
            "items": len(self.items),
            "actions": dict(self.actions),
        }


def make_sessions(until: int, *, users: range = range(20), each: int = 3, seed: int = 5) -> list[Sent]:
    """Some sessions of each user, up to that moment, an hour and more apart; events in order, and at once there."""
    dice = random.Random(seed)
    sent: list[Sent] = []
    for number in users:
        moment = until - dice.randint(1, 20) * MINUTE
        for _ in range(each):
            for _ in range(dice.randint(1, 6)):
                item = f"i{dice.randint(0, 9)}"
                sent.append(Sent(f"u{number}", item, dice.choice(ACTIONS), moment, moment))
                moment -= dice.randint(0, 20) * MINUTE
            moment -= GAP + dice.randint(30, 60) * MINUTE
    return sorted(sent, key=lambda event: event.timestamp)


def told_by(sent: Iterable[Sent]) -> list[dict[str, Any]]:
    """Every session. Plainly: events of a user that are no gap apart are one. They come in order."""
    return in_order(session.summary() for session in all_sessions(sent))


def over(sent: Sequence[Sent], lateness: int) -> list[dict[str, Any]]:
    """The sessions that have ended by event time: their user has another, or their partition is that far on."""
    found = all_sessions(sent)
    last = {session.user: session for session in found}
    newest = {partition_of(event.user): event.timestamp for event in sent}
    return in_order(
        session.summary()
        for session in found
        if session is not last[session.user] or session.ended_at + GAP < newest[partition_of(session.user)] - lateness
    )


def all_sessions(sent: Iterable[Sent]) -> list[Told]:
    found: list[Told] = []
    current: dict[str, Told] = {}
    for event in sent:
        session = current.get(event.user)
        if session is None or event.timestamp > session.ended_at + GAP:
            session = current[event.user] = Told(event.user, event.timestamp, event.timestamp)
            found.append(session)
        session.ended_at = event.timestamp
        session.items.add(event.item)
        session.actions[event.action] += 1
    return found


def in_order(summaries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(summaries, key=lambda summary: (summary["user_id"], summary["started_at"]))


async def send(kafka: str, tenant: str, sent: Sequence[Sent]) -> None:
    """Each user in a partition of its own; returns when the broker has them all."""
    async with producer_client(kafka) as producer:
        for event in sent:
            await producer.send(
                raw_topic(tenant),
                body_of(tenant, event),
                partition=partition_of(event.user),
                timestamp_ms=event.arrival,
            )
        await producer.flush()


def body_of(tenant: str, event: Sent) -> bytes:
    name = f"evt_{event.user}_{event.timestamp}_{event.item}_{event.action}_{random.getrandbits(32):x}"
    fields = {"user_id": event.user, "item_id": event.item, "action_type": event.action, "timestamp": event.timestamp}
    return msgspec.json.encode(make_body(event_id=name, tenant_id=tenant, **fields))


def partition_of(user: str) -> int:
    return int(user[1:]) % PARTITIONS


async def shipped(kafka: str, tenant: str) -> list[ConsumerRecord]:
    """Every record of the topic of summaries, partition by partition; none while there is no topic."""
    async with AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False) as consumer:
        if summaries_topic(tenant) not in await consumer.topics():
            return []
        partitions = [TopicPartition(summaries_topic(tenant), number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return sorted(records, key=lambda record: (record.partition, record.offset))


def facts(records: Iterable[ConsumerRecord]) -> list[dict[str, Any]]:
    """Of each summary what `told_by` says."""
    names = ("user_id", "started_at", "ended_at", "events", "items", "actions")
    summaries = [CODEC.decode(record.value) for record in records]
    return in_order({name: summary[name] for name in names} for summary in summaries)
