"""From a good base to an `Event`: the last step, the same for both paths of the judge."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Arrival:
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
    dwell_ms, completion, category = drawn
    action = base.action_type
    return Event(
        event_id=base.event_id,  # type: ignore[arg-type]
        tenant_id=base.tenant_id,  # type: ignore[arg-type]
        scenario_id=base.scenario_id,
        user_id=base.user_id,
        item_id=base.item_id,
        action_type=action,
        timestamp=base.timestamp,  # type: ignore[arg-type]
        context=context,
        context_json=str(base.context, "utf-8"),
        experiment_id=base.experiment_id,
        experiment_group=base.experiment_group,
        position=base.position,
        scenario_data=text_of(base.scenario_data),
        extra_data=text_of(base.extra_data),
        received_at=arrival.received_at,
        source=arrival.source,
        scenario_type=signals.scenario_type,
        config_version=version,
        validation_warnings=warnings,
        weight=signals.weights[action],
        positive=signals.is_positive(action, drawn),
        dwell_ms=dwell_ms,
        completion=completion,
        category=category,
        partition=arrival.partition,
        offset=arrival.offset,
    )


def text_of(raw: msgspec.Raw) -> str | None:
    """Its JSON text, None where there is none."""
    return None if raw is ABSENT else str(raw, "utf-8")
