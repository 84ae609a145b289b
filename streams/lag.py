"""Consumer lag of the stream's groups, looked at inside the worker and shown by `schemas.lag`.

Processed is what comes before the oldest batch in flight, or, where none is, before the next fetch; the end of a
partition is the high watermark of its last fetch. aiokafka fetches no more of a partition whose records nobody takes,
so the ends of partitions that were not fetched for a while, of a parked tenant say, are asked for, all in one request.
Kafka away: what is known stands, a lag is at least that.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from schemas.clock import Clock, system_clock
from schemas.lag import LAG, LagBoard, LagMeter, Reading
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
    """Where aiokafka stands in a partition: the offset it hands out next, and the end as it knows it."""

    position: int
    end: int


def with_lag(app: StreamApp, *, board: LagBoard = LAG, clock: Clock = system_clock) -> StreamApp:
    """The app, which reports its group's lag once a second from its start to its stop."""
    meter = LagMeter()

    async def report_lag() -> None:
        try:
            fetching = await fetching_of(app.consumer)
        except (ConsumerNotStarted, KafkaError, TimeoutError, AssertionError) as error:  # assert: it was just revoked
            log.debug("lag_unknown", group=app.conf.id, error=repr(error))
            return
        board.report(app.conf.id, meter.measure(readings(fetching, in_flight(app.consumer)), clock()))

    app.timer(LOOK_INTERVAL_S, name="lag")(report_lag)
    return app


def readings(fetching: Mapping[TP, Fetching], oldest: Mapping[TP, Batch]) -> dict[TP, Reading]:
    """What each partition of a tenant's topic is behind. `oldest`: the oldest batch in flight, where there is one."""
    found: dict[TP, Reading] = {}
    for tp, stand in fetching.items():
        tenant = next((name for prefix in PREFIXES if (name := tenant_of(tp.topic, prefix))), None)
        batch = oldest.get(tp)
        if tenant is not None and batch is not None:
            found[tp] = Reading(tenant, batch.first_offset, stand.end, batch.records[0].timestamp)
        elif tenant is not None:
            found[tp] = Reading(tenant, stand.position, stand.end)
    return found


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


async def fetching_of(consumer: Consumer) -> dict[TP, Fetching]:
    """Every partition that was fetched since it was assigned. Asked in aiokafka's own thread, between its fetches."""
    thread = consumer._thread
    looking = asyncio.run_coroutine_threadsafe(_look(thread._ensure_consumer()), thread.thread_loop)
    return await asyncio.wrap_future(looking)


async def _look(kafka: AIOKafkaConsumer) -> dict[TP, Fetching]:
    async with asyncio.timeout(ASKING_S):
        polled_ms = {tp: polled for tp in kafka.assignment() if (polled := kafka.last_poll_timestamp(tp)) is not None}
        stands = {tp: (await kafka.position(tp), kafka.highwater(tp)) for tp in polled_ms}
    newest_ms = system_clock()
    ends = await _ask_ends(kafka, [tp for tp, polled in polled_ms.items() if newest_ms - polled > FRESH_MS])
    return {
        TP(tp.topic, tp.partition): Fetching(position, max(position, end, ends.get(tp, 0)))
        for tp, (position, end) in stands.items()
    }


async def _ask_ends(kafka: AIOKafkaConsumer, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
    """The ends as the broker says them; none where it does not answer."""
    asked = list(tps)
    if not asked:
        return {}
    try:
        async with asyncio.timeout(ASKING_S):
            ends: Mapping[TopicPartition, int] = await kafka.end_offsets(asked)
            return ends
    except (KafkaError, TimeoutError):
        return {}
