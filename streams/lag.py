"""Consumer lag of the stream's groups, looked at inside the worker and shown by `schemas.lag`.

Processed is what comes before the oldest batch in flight, or, where none is, before the next fetch; the end of a
partition is the high watermark of its last fetch. aiokafka fetches no more of a partition whose records nobody takes,
so the ends of partitions that were not fetched for a while, of a parked tenant say, are asked for, all in one request.
Kafka away: what is known stands, a lag is at least that.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from schemas.clock import Clock, system_clock
from schemas.lag import LAG, Lag, LagBoard, LagMeter, Reading
from schemas.topics import RAW_PREFIX, REJECTED_PREFIX, SUMMARIES_PREFIX, VALIDATED_PREFIX, tenant_of
from streams.app import StreamApp
from streams.transport import Batch
from streams.transport.consumer import Consumer

log = structlog.get_logger()

LOOK_INTERVAL_S: Final = 1.0
FRESH_MS: Final = 3000  # how old a high watermark may be
ASKING_S: Final = 2.0
PREFIXES: Final = (RAW_PREFIX, VALIDATED_PREFIX, REJECTED_PREFIX, SUMMARIES_PREFIX)


@dataclass(frozen=True, slots=True)
class Fetching:
    """Where aiokafka stands in a partition: the offset it hands out next, and the end as far as it is known."""

    position: int
    end: int


@dataclass(slots=True)
class Look:
    """The topics that are fetched, and their partitions that are behind or at work."""

    topics: set[str] = field(default_factory=set)
    fetching: dict[TP, Fetching] = field(default_factory=dict)


def with_lag(app: StreamApp, *, board: LagBoard = LAG, clock: Clock = system_clock) -> StreamApp:
    """The app, which reports its group's lag once a second from its start to its stop."""
    meter = LagMeter()

    async def report_lag() -> None:
        try:
            oldest = in_flight(app.consumer)
            look = await look_at(app.consumer, oldest)
        except (ConsumerNotStarted, RuntimeError) as error:  # its thread has not begun, or has ended
            log.debug("lag_unknown", group=app.conf.id, error=repr(error))
            return
        caught_up = {tenant: Lag() for topic in look.topics if (tenant := tenant_of_topic(topic)) is not None}
        board.report(app.conf.id, caught_up | meter.measure(readings(look.fetching, oldest), clock()))

    app.timer(LOOK_INTERVAL_S, name="lag")(report_lag)
    return app


def readings(fetching: Mapping[TP, Fetching], oldest: Mapping[TP, Batch]) -> dict[TP, Reading]:
    """What each partition of a tenant's topic is behind. `oldest`: the oldest batch in flight, where there is one."""
    found: dict[TP, Reading] = {}
    for tp, stand in fetching.items():
        tenant, batch = tenant_of_topic(tp.topic), oldest.get(tp)
        if tenant is not None and batch is not None:
            found[tp] = Reading(tenant, batch.first_offset, stand.end, batch.records[0].timestamp)
        elif tenant is not None:
            found[tp] = Reading(tenant, stand.position, stand.end)
    return found


@lru_cache(maxsize=10_000)
def tenant_of_topic(topic: str) -> str | None:
    return next((name for prefix in PREFIXES if (name := tenant_of(topic, prefix))), None)


def in_flight(consumer: Consumer) -> dict[TP, Batch]:
    """The oldest batch of each partition that was handed out and is not done."""
    oldest: dict[TP, Batch] = {}
    for message in list(consumer.unacked):
        batch: Batch = message.value
        if batch.processed or not consumer.is_ours(batch):
            continue
        if batch.tp not in oldest or batch.first_offset < oldest[batch.tp].first_offset:
            oldest[batch.tp] = batch
    return oldest


async def look_at(consumer: Consumer, at_work: Collection[TP]) -> Look:
    """Look in aiokafka's own thread, between its fetches. Raises ConsumerNotStarted, or RuntimeError once it ended."""
    thread = consumer._thread
    looking = look(thread._ensure_consumer(), at_work)
    try:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(looking, thread.thread_loop))
    except RuntimeError:
        looking.close()
        raise


async def look(kafka: AIOKafkaConsumer, at_work: Collection[TP]) -> Look:
    """A partition that was not fetched since it was assigned is left out: nobody knows where it stands."""
    found, stale, now_ms = Look(), {}, system_clock()
    subscription = kafka._subscription.subscription
    if subscription is None or subscription.assignment is None:
        return found
    for tp in subscription.assignment.tps:
        # The consumer's own face asks at every call whether the partition is assigned, at five times the cost.
        state = subscription.assignment.state_value(tp)
        if state.highwater is None or not state.has_valid_position:
            continue
        found.topics.add(tp.topic)
        if now_ms - state.timestamp > FRESH_MS:
            stale[tp] = state
        elif state.position < state.highwater or tp in at_work:
            found.fetching[TP(*tp)] = Fetching(state.position, max(state.position, state.highwater))
    ends = await _ask_ends(kafka, stale)
    for tp, state in stale.items():
        if state.has_valid_position:
            found.fetching[TP(*tp)] = Fetching(state.position, max(state.position, state.highwater, ends.get(tp, 0)))
    return found


async def _ask_ends(kafka: AIOKafkaConsumer, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
    """The ends as the broker says them; none where it does not answer."""
    if not tps:
        return {}
    try:
        async with asyncio.timeout(ASKING_S):
            ends: Mapping[TopicPartition, int] = await kafka.end_offsets(list(tps))
            return ends
    except (KafkaError, TimeoutError):
        return {}
