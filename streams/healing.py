"""Healing what Redis has lost though nothing is sent: partitions whose fence has gone back are read again.

A partition in which events arrive finds out by its next write. One that is quiet would stay as Redis left it until its
next event; so every few seconds the fences of quiet partitions are looked at, all in one request. What is at work is
left alone, and a partition is read on through its lane, so a batch that comes meanwhile is never written out of order.
"""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

import structlog
from faust.types import TP

from streams.app import StreamApp
from streams.features.errors import SinkUnavailable
from streams.lanes import Lanes

log = structlog.get_logger()

LOOK_INTERVAL_S: Final = 5.0


class Losing(Protocol):
    """A step whose store may lose data."""

    async def lost(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """From which offset to read those partitions again of which the store has lost something."""
        ...


def with_healing(app: StreamApp, step: Losing, *, interval_s: float = LOOK_INTERVAL_S) -> StreamApp:
    """The app of lanes, which looks for losses from its start to its stop."""

    async def heal() -> None:
        lanes = app.runner
        if not isinstance(lanes, Lanes):  # its agent has not begun
            return
        try:
            lost = await step.lost(app.consumer.view.idle())
        except SinkUnavailable as error:
            log.debug("losses_unknown", agent=app.role, error=repr(error))
            return
        for tp, offset in lost.items():
            log.warning("partition_lost_data", topic=tp.topic, partition=tp.partition, read_on=offset)
            lanes.read_on(tp, offset)

    app.timer(interval_s, name="healing")(heal)
    return app
