"""The conductor: which agents get a partition's batches, when topics are known by a pattern only."""

from typing import Any

from faust import Schema
from faust.transport.conductor import Conductor as FaustConductor
from faust.types import TP

from streams.transport.options import options_of


class Conductor(FaustConductor):  # type: ignore[misc]  # Faust is untyped here
    """By pattern: every channel of the app gets every assigned partition. By name: as Faust does it."""

    async def on_partitions_assigned(self, assigned: set[TP]) -> None:
        if options_of(self.app).pattern is None:
            await super().on_partitions_assigned(assigned)
            return
        self._acking_topics.update(tp.topic for tp in assigned)
        self._tp_index.clear()
        self._tp_to_callback.clear()
        for tp in assigned:
            self._tp_index[tp].update(self._topics)
        self._update_callback_map()


class BatchSchema(Schema):  # type: ignore[misc]  # Faust is untyped here
    """A batch is already what the agent wants: nothing is decoded."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return message.value
