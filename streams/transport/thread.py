"""The thread in which aiokafka runs: subscribing by pattern, fetching, seeking and committing.

`places` is written in this thread only, in the same step as the seek it stands for, and a fetch is labelled
with it in the same step as it is taken from aiokafka's buffer; so a label tells exactly which seek it follows.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.config import StreamConfig
from streams.transport.batch import Record

log = structlog.get_logger()

CLOSING_S = 2.0


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
        self.places: dict[TP, int] = {}
        self._next_place = count(1)
        self._commit_failing = False
        self._fetch_failing = False

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        config: StreamConfig = self.app.config
        return AIOKafkaConsumer(
            **config.kafka.client_options(),
            client_id=self.app.conf.broker_client_id,
            group_id=self.app.conf.id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=config.max_batch_records,
            max_partition_fetch_bytes=config.max_partition_fetch_bytes,
            fetch_min_bytes=1,
            fetch_max_wait_ms=config.fetch_wait_ms,
            # Faust takes records whenever its buffers allow, so a long batch is not a dead worker.
            max_poll_interval_ms=24 * 60 * 60 * 1000,
            session_timeout_ms=round(config.session_timeout_s * 1000),
            rebalance_timeout_ms=round(max(config.session_timeout_s, 2 * config.drain_timeout_s) * 1000),
            heartbeat_interval_ms=round(config.heartbeat_interval_s * 1000),
            metadata_max_age_ms=round(config.discovery_interval_s * 1000),
        )

    async def on_thread_stop(self) -> None:
        """Leave the group, within bounds: with Kafka away aiokafka may wait, raise or cancel, and Faust then hangs."""
        try:
            async with asyncio.timeout(CLOSING_S):
                await super().on_thread_stop()
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            log.warning("leave_failed", group=self.app.conf.id, error=repr(error))

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to the app's pattern; `topics`, the names Faust knows, are not what we read."""
        consumer = self._ensure_consumer()
        await self.call_thread(consumer.subscribe, pattern=self.app.pattern, listener=self._rebalance_listener)

    async def fetch(self, tps: frozenset[TP], timeout_s: float) -> list[Fetched]:
        """What has arrived of `tps`, at most `max_batch_records` in all; waits up to `timeout_s` for the first."""
        fetched: list[Fetched] = await self.call_thread(self._fetch, tps, timeout_s)
        return fetched

    async def _fetch(self, tps: frozenset[TP], timeout_s: float) -> list[Fetched]:
        consumer = self._ensure_consumer()
        if not self.consumer.flow_active:
            return []
        if consumer._closed or consumer._fetcher._closed:
            raise ConsumerStoppedError
        try:
            with consumer._fetcher._subscriptions.fetch_context():
                records = await consumer._fetcher.fetched_records(
                    tps, timeout=timeout_s, max_records=consumer._max_poll_records
                )
        except ConsumerStoppedError:
            raise
        except KafkaError as error:
            self._fetch_failing = self._say_once(self._fetch_failing, "fetch_failed", error)
            return []
        self._fetch_failing = False
        epoch = self.app.consumer_generation_id
        return [
            Fetched(TP(tp.topic, tp.partition), batch, self.places.get(TP(tp.topic, tp.partition), 0), epoch)
            for tp, batch in records.items()
        ]

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

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit what still exists and is still ours; a commit that fails is tried again with the next one."""
        consumer = self._ensure_consumer()
        known = consumer._client.cluster.topics()
        ours = consumer.assignment()
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if tp in ours and tp.topic in known
        }
        if not wanted:
            return True
        try:
            await consumer.commit(wanted)
        except (KafkaError, IllegalStateError) as error:
            self._commit_failing = self._say_once(self._commit_failing, "commit_failed", error)
            return False
        self._commit_failing = False
        return True

    def _say_once(self, said: bool, what: str, error: Exception) -> bool:
        if not said:
            log.warning(what, group=self.app.conf.id, error=repr(error))
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's livelock alarm reads one message as one event and cries wolf over batches; lag is a metric."""
