"""Follows every `validated-behaviors-*` topic from its beginning, without a group's rebalancing.

All partitions are assigned by hand, those of new tenants as they appear. The group's committed offsets do not say
where to read: they say up to where users' lists are written. Kafka away: calls wait or raise KafkaError, and what was
read stays read.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.kafka import KafkaDsn
from schemas.topics import VALIDATED_PREFIX, tenant_of

log = structlog.get_logger()

GROUP: Final = "millrace-recommend"
POLL_MS: Final = 100

Offsets = dict[TopicPartition, int]


class ValidatedTail:
    """`positions`: the next offset to read, a partition. `listed`: the offset from which users need new lists."""

    def __init__(self, kafka: KafkaDsn, *, group: str = GROUP, max_records: int = 500) -> None:
        self.max_records = max_records
        self.positions: Offsets = {}
        self.listed: Offsets = {}
        self._kafka = kafka
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    async def open(self) -> None:
        """Raises KafkaError when no broker answers; may be called again."""
        consumer = AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
            max_poll_records=self.max_records,
            **self._kafka.client_options(),
        )
        admin = AIOKafkaAdminClient(**self._kafka.client_options())
        try:
            await admin.start()
            await consumer.start()
        except BaseException:
            await asyncio.gather(admin.close(), consumer.stop())
            raise
        self._consumer, self._admin = consumer, admin

    async def close(self) -> None:
        if self._consumer is not None and self._admin is not None:
            await asyncio.gather(self._admin.close(), self._consumer.stop())
            self._consumer = self._admin = None

    async def discover(self) -> set[str]:
        """Assign partitions that are new and drop those that are gone; the tenants whose topic is gone."""
        found = await self._partitions()
        if found == self.positions.keys():
            return set()
        new = found - self.positions.keys()
        listed = {tp: await self.consumer.committed(tp) or 0 for tp in new}
        gone = {tp.topic for tp in self.positions} - {tp.topic for tp in found}
        # No await from here on, so that no read comes between.
        self.positions = {tp: self.positions.get(tp, 0) for tp in found}
        self.listed = {tp: self.listed.get(tp, listed.get(tp, 0)) for tp in found}
        self.consumer.assign(sorted(found))  # forgets where the others stood
        for tp, offset in self.positions.items():
            self.consumer.seek(tp, offset)  # 0, where retention has removed it, is read as the first there is
        log.info("partitions_assigned", new=len(new), total=len(found))
        return {tenant for topic in gone if (tenant := tenant_of(topic, VALIDATED_PREFIX)) is not None}

    async def read(self) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        """The next records, at most `max_records`; none after about POLL_MS of silence."""
        if not self.positions:
            await asyncio.sleep(POLL_MS / 1000)  # a consumer without partitions does not wait by itself
            return {}
        batches: dict[TopicPartition, list[ConsumerRecord]] = await self.consumer.getmany(
            timeout_ms=POLL_MS, max_records=self.max_records
        )
        for tp, records in batches.items():
            if records:
                self.positions[tp] = records[-1].offset + 1
        return batches

    async def ends(self) -> Offsets:
        """The end of each assigned partition now."""
        if not self.positions:
            return {}
        ends: Offsets = await self.consumer.end_offsets(list(self.positions))
        return ends

    async def has_reached(self, ends: Offsets) -> bool:
        """Whether all before `ends` was read; a partition that is gone holds nothing back."""
        behind = [tp for tp, end in ends.items() if self.positions.get(tp, end) < end]
        # Where the last records are gone (retention), only the consumer knows that it stands behind them.
        return all([await self.consumer.position(tp) >= ends[tp] for tp in behind])

    async def commit(self, offsets: Offsets) -> None:
        """Users of all events before `offsets` have their lists."""
        still = {tp: offset for tp, offset in offsets.items() if tp in self.positions}
        if still:
            await self.consumer.commit(still)

    @property
    def admin(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            raise RuntimeError("the tail is not open")
        return self._admin

    @property
    def consumer(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the tail is not open")
        return self._consumer

    async def _partitions(self) -> set[TopicPartition]:
        topics = await self.admin.describe_topics()
        return {
            TopicPartition(topic["topic"], partition["partition"])
            for topic in topics
            if tenant_of(topic["topic"], VALIDATED_PREFIX) is not None
            for partition in topic["partitions"]
        }
