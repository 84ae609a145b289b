"""The Faust apps: one consumer group each, over the micro-batch transport, embedded in a process of ours.

Two or more live in one event loop: no web server, no tables, no leader topic, no data folder, no producer of
Faust's, and nothing read from the environment. `run_worker` keeps one running until it is told to stop; an app
that crashes is built anew.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

import faust
import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from faust.app.base import BootStrategy
from faust.types import TP, StreamT
from tenacity import AsyncRetrying, wait_exponential

from schemas.metrics import PARTITIONS_HELD
from schemas.topics import RESERVED_TENANTS, TENANT_PATTERN
from streams.config import StreamConfig
from streams.lanes import Lanes
from streams.outages import outlast
from streams.steps import Runner, Step
from streams.transport import BatchSchema, Transport
from streams.transport.consumer import Consumer
from streams.transport.fairness import Turns
from streams.transport.options import TransportOptions, Where

log = structlog.get_logger()

MakeRunner = Callable[[Consumer, StreamT], Runner]

STREAM_BUFFER_BATCHES = 4  # they wait beside what a runner holds, each of up to max_batch_records
RESTART_PAUSE_S = 1.0
PLACING_PAUSE_S = 5.0
CANCELLING_S = 1.0
CANCELLATIONS = 5


class _Embedded(BootStrategy):  # type: ignore[misc]  # Faust is untyped here
    enable_web = False
    enable_sensors = False
    enable_kafka_producer = False


class StreamApp(faust.App):  # type: ignore[misc]  # Faust is untyped here
    """One role's Faust app: reads the tenants' topics with one of `prefixes`, gives each batch to its runner.

    `bounded`: a tenant has at most two turns at work, for runners that work off batches as they come; false for those
    that hold many until there are enough.
    """

    BootStrategy = _Embedded

    def __init__(
        self,
        role: str,
        prefixes: Iterable[str],
        config: StreamConfig,
        where: Where,
        make_runner: MakeRunner,
        *,
        bounded: bool = True,
    ) -> None:
        self.role = role
        self.config = config
        self.transport_options = _transport_options(self, list(prefixes), bounded)
        self._where = where
        self._make_runner = make_runner
        self.runner: Runner | None = None
        self.drains: list[Callable[[float], Awaitable[None]]] = []  # what else is to finish, within so many seconds
        super().__init__(config.group(role), **_faust_settings(config))
        self.transport = Transport(self.conf.broker_consumer, self)
        self.agent(self.topic("batches", schema=BatchSchema()), name=role)(self._take)

    async def _take(self, stream: StreamT) -> None:
        self.runner = self._make_runner(self.consumer, stream)
        async for event in stream.noack().events():
            await self.runner.submit(event)

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        """Called by the consumer after each assignment; the step's store may be away for a while."""
        async for attempt in AsyncRetrying(wait=wait_exponential(max=PLACING_PAUSE_S)):
            with attempt:
                return await self._where(tps, epoch)
        raise AssertionError("retried for ever")

    async def drain(self) -> None:
        """Called by the consumer when partitions are taken away and at the stop."""
        drains = self.drains if self.runner is None else [*self.drains, self.runner.drain]
        await asyncio.gather(*(drain(self.config.drain_timeout_s) for drain in drains))

    async def on_first_start(self) -> None:
        """Faust makes its data folder here; there is no data."""


def lanes_app(role: str, prefix: str, config: StreamConfig, step: Step) -> StreamApp:
    """An app that processes the batches of each partition one by one."""

    def make_lanes(consumer: Consumer, stream: StreamT) -> Runner:
        return Lanes(role, step, consumer, stream, depth=config.lane_depth)

    return StreamApp(role, [prefix], config, step.where, make_lanes)


def _transport_options(app: StreamApp, prefixes: list[str], bounded: bool) -> TransportOptions:
    config = app.config
    return TransportOptions(
        client=config.kafka.client_options(),
        pattern=_topics_of_tenants(prefixes),
        tenant_of=_tenant_of(prefixes),
        turns=_turns(config, bounded),
        where=app.where,
        drain=app.drain,
        on_held=PARTITIONS_HELD.labels(app.role).set,
        instance_id=config.instance_id,
        max_partition_fetch_bytes=config.max_partition_fetch_bytes,
        fetch_wait_ms=config.fetch_wait_ms,
        session_timeout_s=config.session_timeout_s,
        rebalance_timeout_s=max(config.session_timeout_s, 2 * config.drain_timeout_s),
        heartbeat_interval_s=config.heartbeat_interval_s,
        discovery_interval_s=config.discovery_interval_s,
    )


def _turns(config: StreamConfig, bounded: bool) -> Turns:
    if config.turn_records is None:
        return Turns(config.max_batch_records, config.max_batch_records, bounded=False)
    return Turns(config.turn_records, config.max_batch_records, bounded)


def _tenant_of(prefixes: Iterable[str]) -> Callable[[str], str]:
    any_prefix = re.compile(f"^(?:{'|'.join(map(re.escape, prefixes))})")
    return lambda topic: any_prefix.sub("", topic, count=1)


def _topics_of_tenants(prefixes: Iterable[str]) -> re.Pattern[str]:
    """Matches whole names: a prefix, then what may name a tenant."""
    reserved = "|".join(map(re.escape, sorted(RESERVED_TENANTS)))
    return re.compile(f"^(?:{'|'.join(map(re.escape, prefixes))})(?!(?:{reserved})$){TENANT_PATTERN.pattern}$")


def _faust_settings(config: StreamConfig) -> dict[str, Any]:
    return {
        "env": {},
        "broker": "millrace://" + config.kafka.servers[0],  # the name of our transport; the DSN is used to connect
        "store": "memory://",
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "stream_buffer_maxsize": STREAM_BUFFER_BATCHES,
        "stream_wait_empty": True,
        "broker_commit_interval": config.commit_interval_s,
        "broker_session_timeout": config.session_timeout_s,
        "broker_heartbeat_interval": config.heartbeat_interval_s,
    }


async def run_worker(make_app: Callable[[], StreamApp], stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run an app until `stop`; `ready` is set once its partitions, which may be none, are assigned and placed.

    At the stop the batches at work are finished, for a bounded time, offsets committed and the group left.
    """
    while not stop.is_set():
        app = make_app()
        if not await _unless(stop, outlast("kafka", partial(_reach, app.config), (KafkaError, OSError))):
            return
        try:
            await _run_once(app, stop, ready)
        except Exception:  # Faust's apps crash with anything; the group goes on where it committed
            log.exception("app_crashed", agent=app.role)
            await _unless(stop, asyncio.sleep(RESTART_PAUSE_S))


async def _run_once(app: StreamApp, stop: asyncio.Event, ready: asyncio.Event) -> None:
    try:
        if await _unless(stop, app.start()) and await _unless(stop, app.consumer.placed.wait()):
            ready.set()
            log.info("worker_ready", agent=app.role, partitions=len(app.consumer.assignment()))
            await _unless(stop, app._crashed.wait())
        if app._crashed.is_set():
            raise RuntimeError(f"the {app.role} app crashed") from app._crash_reason
    finally:
        await app.stop()


async def _reach(config: StreamConfig) -> None:
    """Raises KafkaError while no broker answers."""
    client = AIOKafkaClient(**config.kafka.client_options())
    try:
        await client.bootstrap()
    finally:
        await client.close()


async def _unless(stop: asyncio.Event, work: Any) -> bool:
    """Whether `work` was done; it is cancelled when `stop` is set first."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        stopping.cancel()
        await _end(working)


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel a task until it has ended, for a bounded time: aiokafka's client may swallow a cancellation."""
    for _ in range(CANCELLATIONS):
        if task.done():
            return
        task.cancel()
        await asyncio.wait({task}, timeout=CANCELLING_S)
    log.warning("not_cancelled", task=repr(task))
