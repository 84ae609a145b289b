"""From a good base to an `Event`: the last step, the same for both paths of the judge."""

from typing import Final

import msgspec

from schemas.event import Context, Event
from schemas.verdict import Code, Issue
from tracking_configs.base import ABSENT, Base
from tracking_configs.signals import Drawn, Signals

Reading = tuple[Signals, int, Drawn]  # the scenario's signals, config version, what the payload says

NO_CONFIG: Final = Issue(
    "scenario_id", Code.NO_TRACKING_CONFIG, "no tracking config exists for this tenant and scenario"
)


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """Where and when a value came in. `received_at` in ms UTC.

    With a `topic` it is a raw record, and `tenant` is the topic's, which the event must name. Without one it
    came to a door, and `tenant` is that of an event which names none.
    """

    source: str
    received_at: int
    tenant: str | None = None
    topic: str | None = None
    partition: int = -1
    offset: int = -1


def assemble(base: Base, context: Context, reading: Reading, arrival: Arrival, warnings: tuple[Issue, ...]) -> Event:
    """The event. `base` has been completed: event_id, tenant_id and timestamp are there."""
    signals, version, drawn = reading
    action = base.action_type
    return Event(  # by position, in the order of the class: a fifth of the time that names take
        base.event_id,  # type: ignore[arg-type]
        base.tenant_id,  # type: ignore[arg-type]
        base.scenario_id,
        base.user_id,
        base.item_id,
        action,
        base.timestamp,  # type: ignore[arg-type]
        context,
        str(base.context, "utf-8"),
        base.experiment_id,
        base.experiment_group,
        base.position,
        text_of(base.scenario_data),
        text_of(base.extra_data),
        arrival.received_at,
        arrival.source,
        signals.scenario_type,
        version,
        warnings,
        signals.weights[action],
        signals.is_positive(action, drawn),
        drawn.dwell_ms,
        drawn.completion,
        drawn.category,
        arrival.partition,
        arrival.offset,
    )


def text_of(raw: msgspec.Raw) -> str | None:
    """Its JSON text, None where there is none."""
    return None if raw is ABSENT else str(raw, "utf-8")
