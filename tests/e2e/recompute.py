"""What the stores must hold: recomputed in plain Python from the raw topic, one event after the other."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from schemas.event import Event
from schemas.topics import raw_topic
from streams.features.fold import Content, fold
from streams.features.model import ScenarioSignals
from streams.transport import Record
from tracking_configs.judge import Judge
from tracking_configs.raw_records import arrival_of
from tracking_configs.template import load_templates


@dataclass(frozen=True)
class Expected:
    """`accepted` in raw order, resends included; `rejected` are (partition, offset)."""

    accepted: list[Event]
    rejected: set[tuple[int, int]]

    @property
    def event_ids(self) -> set[str]:
        return {event.event_id for event in self.accepted}

    def content(self, catalogue: dict[str, str]) -> Content:
        return fold(self.accepted, signals=video_signals, catalogue=catalogue)


def video_signals(tenant: str, scenario_id: str, scenario_type: str) -> ScenarioSignals:
    video = load_templates()["video"]
    return ScenarioSignals(int(video.session_gap_min * 60_000), int(video.hot_half_life_h * 3_600_000))


async def read_raw(bootstrap: str, tenant: str) -> list[Record]:
    """Every record of the tenant's raw topic, partition by partition."""
    consumer = AIOKafkaConsumer(
        raw_topic(tenant), bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        records: list[Record] = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


def judge_all(records: Iterable[Record], tenant: str, judge: Judge) -> Expected:
    accepted: list[Event] = []
    rejected: set[tuple[int, int]] = set()
    for record in records:
        verdict = judge.judge(record.value, arrival_of(record, tenant))
        if isinstance(verdict, Event):
            accepted.append(verdict)
        else:
            rejected.add((record.partition, record.offset))
    return Expected(accepted, rejected)
