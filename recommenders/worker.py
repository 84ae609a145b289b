"""The recommender worker: follows validated events, keeps every tenant's state, renews lists within moments.

Two loops share one state. Reading folds events in and queues their users; renewing computes and writes the lists of
users queued. When it starts it replays what Kafka holds; users whose events are newer than the committed offsets get
new lists, and the offsets are committed only after those lists are written: at least once, and a list written twice
is the same list. Redis away: reading pauses until a write goes through. Kafka away: lists of what was read go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from recommenders.lag import TailLag
from recommenders.mix import Mixes
from recommenders.tail import GROUP, Offsets, ValidatedTail
from recommenders.tenant import TenantSettings, TenantState
from recommenders.tenant_log import open_tenant_log
from schemas.clock import Clock
from schemas.erased import ErasedUsers
from schemas.event import Event
from schemas.kafka import KafkaDsn
from schemas.metrics import SINK_RETRIES
from schemas.single_object import UnknownSchemaError
from schemas.topics import VALIDATED_PREFIX, tenant_of
from schemas.validated import decode_event

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecommendConfig:
    """`max_pending`: users queued, over all tenants, at which reading pauses until lists are written.

    `rebuild_s`: how long at least a state is kept that holds sums of users who were erased.
    """

    tenant: TenantSettings = field(default_factory=TenantSettings)
    group: str = GROUP
    discover_s: float = 1.0
    commit_s: float = 1.0
    lag_s: float = 2.0
    idle_s: float = 0.05
    max_backoff_s: float = 2.0
    stop_s: float = 3.0
    max_pending: int = 50_000
    erased_s: float = 0.5
    rebuild_s: float = 24 * 60 * 60


class RecommendWorker:
    def __init__(
        self,
        config: RecommendConfig,
        kafka: KafkaDsn,
        redis: Redis,
        mixes: Mixes,
        clock: Clock,
        erased: ErasedUsers | None = None,
    ) -> None:
        self.config = config
        self.erased = ErasedUsers() if erased is None else erased
        self.redis = redis
        self.mixes = mixes
        self.clock = clock
        self.tenants: dict[str, TenantState] = {}
        self._kafka = kafka
        self._tail = ValidatedTail(kafka, group=config.group)
        self._reading, self._renewing = asyncio.Lock(), asyncio.Lock()  # a state is replaced between turns of both
        self._lag = TailLag(self._tail, config.group, clock)
        self._order = 0  # of the event queued last
        self._mark: tuple[int, Offsets] = (0, {})  # users queued up to the order have lists -> offsets to commit
        self._resting: dict[str, int] = {}  # tenant -> ms until which its writing rests
        self._redis_up = asyncio.Event()
        self._redis_up.set()

    async def run(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        """Until `stop`. Sets `ready` once all that the topics held at the start is taken in."""
        stopping = asyncio.create_task(stop.wait())
        work = asyncio.create_task(self._work(ready))
        try:
            await asyncio.wait({stopping, work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            work.cancel()
            # A client library may swallow a cancellation; without its consumer the work ends all the same.
            await asyncio.wait({stopping, work}, timeout=self.config.stop_s)
            await self._tail.close()
            await asyncio.wait({work}, timeout=self.config.stop_s)
        if work.done() and not work.cancelled():
            work.result()  # it ends by itself only by an error: let it be seen

    async def _work(self, ready: asyncio.Event) -> None:
        await self._until_kafka_answers(self._tail.open)
        await self._until_kafka_answers(self._discover)
        ends: Offsets = {}

        async def learn_ends() -> None:
            ends.update(await self._tail.ends())

        await self._until_kafka_answers(learn_ends)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(ready, ends))
            tasks.create_task(self._renew(ready))
            tasks.create_task(self._every(self.config.discover_s, self._discover))
            tasks.create_task(self._every(self.config.commit_s, self._commit))
            tasks.create_task(self._every(self.config.lag_s, self._lag.report))
            tasks.create_task(self._every(self.config.erased_s, self._forget_erased))

    async def _read(self, ready: asyncio.Event, ends: Offsets) -> None:
        while True:
            await self._redis_up.wait()
            if self._queued() < self.config.max_pending:
                async with self._reading:
                    for tp, records in (await self._until_kafka_answers(self._tail.read)).items():
                        self._take(tp, records)
                await asyncio.sleep(0)  # for whoever waits for the lock
            else:
                await asyncio.sleep(self.config.idle_s)
            if not ready.is_set() and await self._tail.has_reached(ends):
                log.info("recommender_ready", tenants=len(self.tenants))
                ready.set()

    def _take(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        tenant = _tenant_of(tp)
        state = self.tenants.get(tenant)
        if state is None:
            state = self.tenants[tenant] = self._new_state(tenant)
        listed = self._tail.listed.get(tp, 0)
        for offset, event in _events(state, records):
            if state.fold(event) and offset >= listed:
                self._order += 1
                state.queue(event, self._order)

    def _new_state(self, tenant: str) -> TenantState:
        return TenantState(tenant, self.config.tenant, self.mixes, self.clock, self.erased)

    async def _forget_erased(self) -> None:
        """Forget users who were erased, and make states anew that are old and hold what such users added."""
        for state in list(self.tenants.values()):
            await state.forget_erased()
            if state.is_stale and self.clock() - state.built_at >= self.config.rebuild_s * 1000:
                await self._rebuild(state)

    async def _rebuild(self, state: TenantState) -> None:
        """Replace a state by one made of what Kafka holds; meanwhile it goes on as ever. Raises KafkaError."""
        fresh = self._new_state(state.tenant)

        def fold(_: TopicPartition, records: list[ConsumerRecord]) -> None:
            for _, event in _events(fresh, records):
                fresh.fold(event)

        partitions = self._partitions_of(state.tenant)
        async with open_tenant_log(self._kafka, partitions) as again:
            await again.read_to(lambda: self._tail.positions, fold)
            async with self._reading, self._renewing:
                await again.read_to(lambda: self._tail.positions, fold)
                await fresh.forget_erased()
                if self.tenants.get(state.tenant) is state and self._partitions_of(state.tenant) == partitions:
                    fresh.pending = state.pending
                    self.tenants[state.tenant] = fresh
                    log.info("tenant_rebuilt", tenant=state.tenant, users=len(fresh.histories))

    def _partitions_of(self, tenant: str) -> set[TopicPartition]:
        return {tp for tp in self._tail.positions if _tenant_of(tp) == tenant}

    async def _renew(self, ready: asyncio.Event) -> None:
        """Lists wait until the replay is done: they would be made of half the state."""
        backoff_s = self.config.idle_s
        while True:
            if not ready.is_set() and self._queued() < self.config.max_pending:
                await asyncio.sleep(self.config.idle_s)
                continue
            try:
                written = [await self._renew_tenant(state) for state in list(self.tenants.values())]
            except RedisError as error:
                self._redis_is_away(error)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, self.config.max_backoff_s)
                continue
            backoff_s = self.config.idle_s
            self._redis_is_back()
            await asyncio.sleep(0 if any(written) else self.config.idle_s)

    async def _renew_tenant(self, state: TenantState) -> int:
        if self._resting.get(state.tenant, 0) > self.clock():
            return 0
        try:
            async with self._renewing:
                written = await state.renew(self.redis)
                return written + await state.similars.write_due(self.redis, self.clock())
        except ResponseError as error:  # Redis answers, but refuses: this tenant waits, the others do not
            SINK_RETRIES.labels("rec_cache").inc()
            log.error("lists_refused", tenant=state.tenant, error=repr(error))
            self._resting[state.tenant] = self.clock() + int(self.config.max_backoff_s * 1000)
            return 0

    async def _discover(self) -> None:
        for tenant in await self._tail.discover():
            self.tenants.pop(tenant, None)
            log.info("tenant_forgotten", tenant=tenant)

    async def _commit(self) -> None:
        """Commit the last mark once all users queued before it have lists, then set the next one."""
        order, offsets = self._mark
        oldest = min(
            (first for state in self.tenants.values() if (first := state.oldest_waiting()) is not None), default=None
        )
        if oldest is not None and oldest <= order:
            return
        if offsets and any(self._tail.listed.get(tp, 0) < offset for tp, offset in offsets.items()):
            await self._tail.commit(offsets)
            self._tail.listed |= {tp: max(offset, self._tail.listed.get(tp, 0)) for tp, offset in offsets.items()}
        self._mark = (self._order, dict(self._tail.positions))

    async def _every(self, interval_s: float, call: Callable[[], Awaitable[None]]) -> None:
        away = False
        while True:
            await asyncio.sleep(interval_s)
            try:
                await call()
                away = False
            except KafkaError as error:
                if not away:
                    log.warning("kafka_away", error=repr(error))
                away = True

    async def _until_kafka_answers(self, call: Callable[[], Awaitable[T]]) -> T:
        backoff_s, away = 0.1, False
        while True:
            try:
                return await call()
            except KafkaError as error:
                if not away:
                    log.warning("kafka_away", error=repr(error))
                away = True
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, self.config.max_backoff_s)

    def _redis_is_away(self, error: RedisError) -> None:
        SINK_RETRIES.labels("rec_cache").inc()
        if self._redis_up.is_set():
            log.warning("redis_away", error=repr(error))
            self._redis_up.clear()

    def _redis_is_back(self) -> None:
        if not self._redis_up.is_set():
            log.info("redis_back")
            self._redis_up.set()

    def _queued(self) -> int:
        return sum(len(state.pending) for state in self.tenants.values())


def _tenant_of(tp: TopicPartition) -> str:
    tenant = tenant_of(tp.topic, VALIDATED_PREFIX)
    if tenant is None:
        raise ValueError(f"{tp.topic} is not a topic of validated behaviours")
    return tenant


def _events(state: TenantState, records: list[ConsumerRecord]) -> Iterator[tuple[int, Event]]:
    """The events that the tenant's state may take, each with its offset."""
    for record in records:
        try:
            event = state.admitted(decode_event(record.value))
        except UnknownSchemaError as error:
            log.warning("validated_event_skipped", tenant=state.tenant, offset=record.offset, error=str(error))
            continue
        if event is not None:
            yield record.offset, event
