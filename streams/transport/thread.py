"""The thread in which aiokafka runs: subscribing by pattern, fetching, seeking and committing.

`places` is written in this thread only, in the same step as the seek it stands for, and a fetch is labelled
with it in the same step as it is taken from aiokafka's buffer; so a label tells exactly which seek it follows.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchError
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode.utils.futures import maybe_async

from streams.transport.assigning import KeepingAssignor
from streams.transport.batch import Record
from streams.transport.fairness import FairShares, Taken
from streams.transport.inflating import bound_inflating
from streams.transport.leaving import CLOSING_S, LEAVING_S, bounded, leave_and_close
from streams.transport.options import options_of
from streams.transport.unpacking import FetchedRecord, unpack
from streams.transport.view import Standing

log = structlog.get_logger()

BUSY_FETCH_WAIT_MS = 10
TAKING_S = 0.005


class Fetched(NamedTuple):
    """Records of one partition, and the place and group generation they were fetched in."""

    tp: TP
    records: Sequence[Record]
    place: int
    epoch: int


class ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped here
    """Faust's consumer thread with our fetch settings, pattern subscription and forgiving commits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.options = options_of(self.app)
        self.shares = FairShares(self.options.tenant_of, self.options.turns, self.consumer.ledger.at_work)
        self.places: dict[TP, int] = {}
        self._next_place = count(1)
        self._next_offsets: dict[TP, int] = {}
        self._restarted: set[TP] = set()  # partitions with records before their place, until they have another
        self._more = asyncio.Event()
        self._held_back = True
        self._commit_failing = False
        self._fetch_failing = False

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        options = self.options
        return AIOKafkaConsumer(
            **options.client,
            client_id=self.app.conf.broker_client_id,
            group_id=self.app.conf.id,
            group_instance_id=options.instance_id,
            partition_assignment_strategy=[KeepingAssignor(lambda: self.app.consumer_generation_id)],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=options.max_partition_fetch_bytes,
            fetch_min_bytes=1,
            fetch_max_wait_ms=options.fetch_wait_ms,
            # Faust takes records whenever its buffers allow, so a long batch is not a dead worker.
            max_poll_interval_ms=24 * 60 * 60 * 1000,
            session_timeout_ms=round(options.session_timeout_s * 1000),
            rebalance_timeout_ms=round(options.rebalance_timeout_s * 1000),
            heartbeat_interval_ms=round(options.heartbeat_interval_s * 1000),
            metadata_max_age_ms=round(options.discovery_interval_s * 1000),
        )

    async def on_start(self) -> None:
        bound_inflating()
        await super().on_start()
        # aiokafka holds back a node's fetches while records of one of its partitions lie unread. For its 100 ms, and a
        # tenant with a backlog would delay every other; not at all, and the next fetch would leave out the partitions
        # whose records we are about to take, and what follows there would wait until it ends.
        self._ensure_consumer()._fetcher._prefetch_backoff = TAKING_S

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What `fun` answers in the thread. At once: Faust's queue has two workers, one for the fetch, and one answer
        that Kafka is slow to give would take the other. Raises RuntimeError once the thread has ended."""

        async def call() -> Any:
            return await maybe_async(fun(*args, **kwargs))

        calling = call()
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(calling, self.thread_loop))
        except RuntimeError:
            calling.close()
            raise

    async def on_thread_stop(self) -> None:
        """Leave the group, within bounds: where this failed or hung, so would the app."""
        await bounded(super(AIOKafkaConsumerThread, self).on_thread_stop(), LEAVING_S, "calls_abandoned")
        if self._consumer is not None:
            await leave_and_close(self._consumer)

    async def _gather_remaining_tasks(self) -> None:
        """Faust's last step, before it closes the loop; a task that swallows its cancellation is left behind."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.wait({asyncio.gather(*tasks, return_exceptions=True)}, timeout=CLOSING_S)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to the app's pattern where it has one, else to `topics`, those that its agents name."""
        pattern = self.options.pattern
        wanted = {"topics": set(topics)} if pattern is None else {"pattern": pattern}
        await self.call_thread(self._ensure_consumer().subscribe, **wanted, listener=self._rebalance_listener)

    async def fetch(self, timeout_s: float) -> list[Fetched]:
        """What has arrived and is due; waits up to `timeout_s` for the first. Raises ConsumerStoppedError."""
        fetched: list[Fetched] = await self.call_thread(self._fetch, timeout_s)
        return fetched

    def wake(self) -> None:
        """A partition may be read again, or a tenant has room again. Called from the app's thread."""
        if self._held_back:
            self.thread_loop.call_soon_threadsafe(self._more.set)

    async def _fetch(self, timeout_s: float) -> list[Fetched]:
        fetcher = self._ensure_consumer()._fetcher
        until = time.monotonic() + timeout_s
        with fetcher._subscriptions.fetch_context():
            while True:
                if self._ensure_consumer()._closed or fetcher._closed:
                    raise ConsumerStoppedError
                self._more.clear()
                fetched = self._deal(fetcher)
                left_s = until - time.monotonic()
                if fetched or left_s <= 0 or not self.consumer.flow_active:
                    return fetched
                await self._wait_for_more(fetcher, left_s)

    async def _wait_for_more(self, fetcher: Fetcher, timeout_s: float) -> None:
        """Until records arrive, or `wake` is called."""
        arrived = fetcher._create_fetch_waiter()
        arrived.add_done_callback(self._note_arrival)
        try:
            async with asyncio.timeout(timeout_s):
                await self._more.wait()
        except TimeoutError:
            pass
        finally:
            arrived.cancel()

    def _note_arrival(self, arrived: asyncio.Future[None]) -> None:
        if not arrived.cancelled():  # by us: to wake then would be to spin
            self._more.set()

    def _deal(self, fetcher: Fetcher) -> list[Fetched]:
        """Take out of aiokafka's buffers what the tenants are due. The rest stays there, undecoded."""
        self._held_back = True  # until it is known better: whoever makes room meanwhile has to wake us
        if not self.consumer.flow_active or fetcher._subscriptions.reassignment_in_progress:
            return []
        self._drop_errors(fetcher)
        dealt: list[Fetched] = []

        def take(tp: TP, at_most: int) -> Taken:
            records = self._take(fetcher, tp, at_most)
            if records:
                dealt.append(Fetched(tp, records, self.places.get(tp, 0), self.app.consumer_generation_id))
            return Taken(len(records), sum(map(_size_bytes, records)))

        buffered = [TP(tp.topic, tp.partition) for tp in fetcher._records]
        ready = [tp for tp in buffered if self.consumer.is_wanted(tp)]
        waiting = self.shares.deal(ready, take)
        self._held_back = waiting or len(ready) < len(buffered)
        # Partitions with records left are no part of the next request, and must not wait for its end for long.
        fetcher._fetch_max_wait_ms = BUSY_FETCH_WAIT_MS if fetcher._records else self.options.fetch_wait_ms
        fetcher._max_partition_fetch_bytes = self.options.partition_fetch_bytes(len(self.places))
        return dealt

    def _take(self, fetcher: Fetcher, tp: TP, at_most: int) -> list[FetchedRecord]:
        result = fetcher._records[tp]
        try:
            records = unpack(result, at_most)
        except KafkaError as error:  # a batch that cannot be read; it is fetched again
            self._fetch_failing = self._say_once(self._fetch_failing, "fetch_failed", error)
            self._release(fetcher, tp)
            return []
        if not result.has_more():
            self._release(fetcher, tp)
        if records and records[0].offset < self._next_offsets.get(tp, 0):
            if tp not in self._restarted:
                self._restarted.add(tp)
                self.consumer.loop.call_soon_threadsafe(self.consumer.log_restarted, tp, records[0].offset)
            return []
        if records:
            self._next_offsets[tp] = records[-1].offset + 1
        return records

    def forget(self, tp: TP) -> None:
        """The partition is not ours any more."""
        self.shares.forget(tp)
        self.places.pop(tp, None)

    def _drop_errors(self, fetcher: Fetcher) -> None:
        failed = {tp: found for tp, found in fetcher._records.items() if isinstance(found, FetchError)}
        for tp, found in failed.items():
            self._fetch_failing = self._say_once(self._fetch_failing, "fetch_failed", found._error)
            self._release(fetcher, tp)
        self._fetch_failing = self._fetch_failing and (bool(failed) or not fetcher._records)

    def _release(self, fetcher: Fetcher, tp: TP) -> None:
        """Let aiokafka fetch the partition again."""
        del fetcher._records[tp]
        fetcher._notify(fetcher._wait_consume_future)

    async def place(self, tp: TP, offset: int) -> bool:
        """Read `tp` on from `offset`: everything fetched before is stale. False where it is not ours any more."""
        moved: bool = await self.call_thread(self._place, tp, offset)
        return moved

    async def _place(self, tp: TP, offset: int) -> bool:
        try:
            self._ensure_consumer().seek(TopicPartition(tp.topic, tp.partition), offset)
        except IllegalStateError:
            return False
        self.places[tp] = next(self._next_place)
        self._next_offsets[tp] = offset
        self._restarted.discard(tp)
        return True

    async def start_offset(self, tp: TP) -> int:
        """The committed offset, the earliest where nothing was committed. Raises KafkaError."""
        offset: int = await self.call_thread(self._start_offset, TopicPartition(tp.topic, tp.partition))
        return offset

    async def _start_offset(self, tp: TopicPartition) -> int:
        consumer = self._ensure_consumer()
        committed = await consumer.committed(tp)
        if committed is not None:
            return int(committed)
        return int((await consumer.beginning_offsets([tp]))[tp])

    async def standings(self) -> Mapping[TP, Standing]:
        """See `View.standings`."""
        found: Mapping[TP, Standing] = await self.call_thread(self._standings)
        return found

    async def _standings(self) -> Mapping[TP, Standing]:
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        # The consumer's own face asks at every call whether the partition is assigned, at five times the cost.
        states = ((tp, subscription.assignment.state_value(tp)) for tp in subscription.assignment.tps)
        return {
            TP(*tp): Standing(state.position, max(state.position, state.highwater), state.timestamp)
            for tp, state in states
            if state.highwater is not None and state.has_valid_position
        }

    async def ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """See `View.ends`."""
        found = await self.call_thread(self._ensure_consumer().end_offsets, [TopicPartition(*tp) for tp in tps])
        return {TP(*tp): end for tp, end in found.items()}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit what still exists and is still ours; a commit that fails is tried again with the next one."""
        consumer = self._ensure_consumer()
        known = consumer._client.cluster.topics()
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if tp in self.places and tp.topic in known
        }
        try:
            # Past AIOKafkaConsumer.commit, which takes nothing from the moment on when the pattern matches another
            # topic; the group takes it until it has rebalanced.
            await consumer._coordinator.commit_offsets(None, wanted)
        except KafkaError as error:
            self._commit_failing = self._say_once(self._commit_failing, "commit_failed", error)
            return False
        self._commit_failing = False
        return True

    def _say_once(self, said: bool, what: str, error: Exception) -> bool:
        if not said:
            log.warning(what, group=self.app.conf.id, error=repr(error))
        return True


def _size_bytes(record: Record) -> int:
    return len(record.value or b"")
