"""The judge: raw topics in, validated and rejected topics out, in the same partitions.

Promise: at least once. A batch is acknowledged when both its writes are on all in-sync replicas. After a crash the
batch is written again; a validated record carries the raw record's offset, and first occurrences stay in raw
order, so a reader drops what is not above the offset it last took. Kafka away: the partition waits. A tenant most
of whose events are rejected: its partitions wait, see `streams.parking`.
"""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.ages import AGES
from schemas.clock import Clock, system_clock
from schemas.metrics import EVENTS_JUDGED
from schemas.quality import QUALITY
from schemas.topics import rejected_topic, validated_topic
from streams.breaker import runs_of
from streams.config import StreamConfig
from streams.judging import Judgement, Judging, cure_of, judgement, tenant_of_raw
from streams.outages import outlast
from streams.parking import Parking
from streams.publisher import Publisher
from streams.topic_maker import TopicMaker
from streams.transport import Batch


class JudgeStep:
    """Judges a batch and publishes both outcomes. Open with `start`, close with `stop`."""

    def __init__(
        self, config: StreamConfig, judge: Judging, *, parking: Parking | None = None, clock: Clock = system_clock
    ) -> None:
        self._judge = judge
        self._parking = parking or Parking("judge")
        self._clock = clock
        self._publisher = Publisher(config.kafka)
        self._topics = TopicMaker(
            config.kafka, replication_factor=config.replication_factor, retention_ms=config.retention_ms
        )

    async def start(self) -> None:
        await self._publisher.start()

    async def stop(self) -> None:
        await self._publisher.stop()

    async def where(self, tps: Collection[TP], epoch: int) -> Mapping[TP, int]:
        """Where it was committed: the judge keeps nothing."""
        return {}

    async def process(self, batch: Batch) -> None:
        tenant = tenant_of_raw(batch.topic)
        batch.waiting = True
        await self._parking.admission(tenant)
        batch.waiting = False
        judged = judgement(batch, self._judge)
        rejected = {record.offset for record in judged.refused}
        self._parking.observe(tenant, runs_of(batch.records, rejected), cure_of(self._judge, batch, judged.refused))
        await outlast("kafka", lambda: self._write(batch, judged), (KafkaError, OSError))
        for verdict, count in judged.verdicts.items():
            EVENTS_JUDGED.labels(tenant, verdict).inc(count)
        QUALITY.count("stream", tenant, judged.events, judged.rejections)
        AGES.observe("validated", tenant, [event.received_at for event in judged.events], self._clock())

    async def _write(self, batch: Batch, judged: Judgement) -> None:
        """One attempt; a topic that failed is asked for again, since it may have been deleted."""
        tenant = tenant_of_raw(batch.topic)
        validated, rejected = validated_topic(tenant), rejected_topic(tenant)
        try:
            await self._topics.ensure((validated, rejected), like=batch.topic, partition=batch.partition)
            await asyncio.gather(
                self._publisher.publish(validated, batch.partition, judged.validated),
                self._publisher.publish(rejected, batch.partition, judged.rejected),
            )
        except KafkaError:
            self._topics.forget(validated, rejected)
            raise
