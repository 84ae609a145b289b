"""Consumer lag of the stream's groups, looked at inside the worker and shown by `schemas.lag`.

Processed is what comes before the oldest batch in flight, or, where none is, before the next fetch; the end of a
partition is the high watermark of its last fetch. aiokafka fetches no more of a partition whose records nobody takes,
so the ends of partitions that were not fetched for a while, of a parked tenant say, are asked for, all in one request.
Kafka away: what is known stands, a lag is at least that.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from schemas.clock import Clock, system_clock
from schemas.lag import LAG, Lag, LagBoard, LagMeter, Reading
from schemas.topics import RAW_PREFIX, REJECTED_PREFIX, SUMMARIES_PREFIX, VALIDATED_PREFIX, tenant_of
from streams.app import StreamApp
from streams.transport import Batch
from streams.transport.view import View

log = structlog.get_logger()

LOOK_INTERVAL_S: Final = 1.0
FRESH_MS: Final = 3000  # how old a high watermark may be
ASKING_S: Final = 2.0
PREFIXES: Final = (RAW_PREFIX, VALIDATED_PREFIX, REJECTED_PREFIX, SUMMARIES_PREFIX)


@dataclass(frozen=True, slots=True)
class Fetching:
    """Where the consumer stands in a partition: the offset it hands out next, and the end as far as it is known."""

    position: int
    end: int


def with_lag(app: StreamApp, *, board: LagBoard = LAG, clock: Clock = system_clock) -> StreamApp:
    """The app, which reports its group's lag once a second from its start to its stop."""
    meter = LagMeter()

    async def report_lag() -> None:
        view: View = app.consumer.view
        oldest = view.oldest()
        try:
            fetching = await look(view, clock())
        except (ConsumerNotStarted, RuntimeError) as error:  # its thread has not begun, or has ended
            log.debug("lag_unknown", group=app.conf.id, error=repr(error))
            return
        topics = {tp.topic for tp in fetching}
        caught_up = {tenant: Lag() for topic in topics if (tenant := tenant_of_topic(topic)) is not None}
        board.report(app.conf.id, caught_up | meter.measure(readings(behind(fetching, oldest), oldest), clock()))

    app.timer(LOOK_INTERVAL_S, name="lag")(report_lag)
    return app


async def look(view: View, now_ms: int) -> dict[TP, Fetching]:
    """Every partition that was fetched since it was placed. Raises ConsumerNotStarted and RuntimeError."""
    standings = await view.standings()
    ends = await _ask_ends(view, {tp for tp, standing in standings.items() if now_ms - standing.seen_at > FRESH_MS})
    return {tp: Fetching(standing.position, max(standing.end, ends.get(tp, 0))) for tp, standing in standings.items()}


def behind(fetching: Mapping[TP, Fetching], oldest: Collection[TP]) -> dict[TP, Fetching]:
    """The partitions that have not been read to their end, or have a batch in flight."""
    return {tp: stand for tp, stand in fetching.items() if stand.position < stand.end or tp in oldest}


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


async def _ask_ends(view: View, tps: Collection[TP]) -> Mapping[TP, int]:
    """The ends as the broker says them; none where it does not answer."""
    if not tps:
        return {}
    try:
        async with asyncio.timeout(ASKING_S):
            return await view.ends(tps)
    except (KafkaError, TimeoutError):
        return {}
