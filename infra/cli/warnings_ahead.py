"""What the judge will say of events: batched calls and raw Kafka do not answer which were warned.

The same judge as at the doors and in the stream, over the configs in force, so the verdict is the same.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final, Self

from infra.connections import Deps
from infra.doors.door import DoorName
from schemas.event import Event, Source
from schemas.topics import raw_topic
from tracking_configs.feed import ConfigFeed
from tracking_configs.judge import Arrival, Judge
from tracking_configs.registry import ConfigRegistry

PATIENCE_S: Final = 5.0


class WarningCounter:
    """Counts verdicts of the events that pass through it. Both counts are None where the configs cannot be read."""

    def __init__(self, judge: Judge | None, door: DoorName) -> None:
        self._judge = judge
        self._door = door
        self.warned = 0 if judge else None
        self.rejected = 0 if judge else None

    @classmethod
    async def load(cls, deps: Deps, door: DoorName) -> Self:
        """Read the configs from Kafka. Where only a door can be reached, there is nothing to count with."""
        registry = ConfigRegistry()
        feed = ConfigFeed(registry, deps.kafka)
        try:
            async with asyncio.timeout(PATIENCE_S):  # the feed itself waits for Kafka as long as it is away
                await feed.start()
        except TimeoutError:
            return cls(None, door)
        finally:
            await feed.stop()
        return cls(Judge(registry, refuse_unknown_scenarios=deps.settings.refuse_unknown_scenarios), door)

    def watch(self, events: Iterator[bytes], tenant: str) -> Iterator[bytes]:
        for event in events:
            if self._judge is not None:
                self._count(event, tenant)
            yield event

    def _count(self, event: bytes, tenant: str) -> None:
        raw = self._door == "kafka"
        arrival = Arrival(
            source=Source(self._door),
            received_at=time.time_ns() // 1_000_000,
            tenant=tenant,
            topic=raw_topic(tenant) if raw else None,
            partition=0 if raw else -1,
            offset=0 if raw else -1,
        )
        verdict = self._judge.judge(event, arrival) if self._judge else None
        if isinstance(verdict, Event):
            self.warned = (self.warned or 0) + bool(verdict.validation_warnings)
        else:
            self.rejected = (self.rejected or 0) + 1
