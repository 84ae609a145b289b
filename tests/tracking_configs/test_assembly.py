"""Each part of an accepted event stands under its own name."""

import msgspec

from schemas.event import Context, Event
from schemas.verdict import Code, Issue
from tracking_configs.assembly import Arrival, assemble
from tracking_configs.base import Base
from tracking_configs.signals import Drawn, signals_of_template


def test_each_part_of_an_event_comes_out_under_its_own_name() -> None:
    base = Base(
        event_id="the event",
        tenant_id="the tenant",
        scenario_id="the scenario",
        user_id="the user",
        item_id="the item",
        action_type="play",
        timestamp=1,
        context=msgspec.Raw(b'{"the": "context"}'),
        experiment_id="the experiment",
        experiment_group="the group",
        position=2,
        scenario_data=msgspec.Raw(b'{"the": "data"}'),
        extra_data=msgspec.Raw(b'{"the": "rest"}'),
    )
    context, warnings = Context("pc"), (Issue("f", Code.MISSING, "m"),)
    arrival = Arrival(source="grpc", received_at=3, partition=4, offset=5)
    event = assemble(base, context, (signals_of_template("video"), 6, Drawn(7, 0.8, "the category")), arrival, warnings)
    assert event == Event(
        event_id="the event",
        tenant_id="the tenant",
        scenario_id="the scenario",
        user_id="the user",
        item_id="the item",
        action_type="play",
        timestamp=1,
        context=context,
        context_json='{"the": "context"}',
        experiment_id="the experiment",
        experiment_group="the group",
        position=2,
        scenario_data='{"the": "data"}',
        extra_data='{"the": "rest"}',
        received_at=3,
        source="grpc",
        scenario_type="video",
        config_version=6,
        validation_warnings=warnings,
        weight=1.0,
        positive=True,
        dwell_ms=7,
        completion=0.8,
        category="the category",
        partition=4,
        offset=5,
    )
