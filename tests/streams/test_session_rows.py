"""Session summaries as rows."""

from typing import Any

import pytest

from schemas.single_object import load_codec
from schemas.topics import summaries_topic
from streams.rows import rows_of
from streams.session_rows import SESSION_COLUMNS, session_row
from tests.factories import NOON
from tests.streams.fakes import FakeRecord, batch_of

CODEC = load_codec("session_summary")


def make_summary(**fields: Any) -> dict[str, Any]:
    """A summary; what a newer schema adds is left to its defaults."""
    defaults: dict[str, Any] = {
        "session_id": "ses_1",
        "tenant_id": "acme",
        "user_id": "u1",
        "scenario_id": "vlog_feed",
        "started_at": NOON,
        "ended_at": NOON + 60_000,
        "events": 4,
        "items": 2,
        "dwell_ms": 30_000,
        "actions": {"impression": 2, "click": 1, "play": 1},
        "device_type": "mobile",
        "experiment_id": None,
        "experiment_group": None,
    }
    return defaults | fields


def summary_record(offset: int = 0, *, topic: str = summaries_topic("acme"), **fields: Any) -> FakeRecord:
    return FakeRecord(offset, CODEC.encode(make_summary(**fields)), topic=topic, partition=3)


def named(record: FakeRecord) -> dict[str, Any]:
    return dict(zip(SESSION_COLUMNS, session_row(record), strict=True))


def test_a_summary_becomes_a_row() -> None:
    row = named(summary_record(7, experiment_id="exp", experiment_group="b"))
    assert (row["session_id"], row["started_at"], row["ended_at"]) == ("ses_1", NOON, NOON + 60_000)
    assert row["actions"] == {"impression": 2, "click": 1, "play": 1}
    assert (row["experiment_id"], row["experiment_group"], row["ctr"]) == ("exp", "b", 0.5)
    assert (row["kafka_partition"], row["kafka_offset"]) == (3, 7)


def test_ctr_is_absent_where_nothing_was_shown() -> None:
    assert named(summary_record(actions={"click": 3}))["ctr"] is None


def test_a_summary_without_a_time_of_closing_was_closed_when_kafka_had_it() -> None:
    row = named(summary_record())
    assert row["closed_at"] == NOON
    assert row["late"] == 0


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (summary_record(tenant_id="other"), "names the tenant 'other'"),
        (summary_record(events=-1), "a count is not between"),
        (summary_record(actions={"play": 2**32}), "a count is not between"),
        (FakeRecord(0, b"not avro", topic=summaries_topic("acme")), "value begins with"),
        (FakeRecord(0, None, topic=summaries_topic("acme")), "value begins with"),
    ],
)
def test_what_is_no_summary_of_the_tenant_is_parked_and_poisons_nothing(record: FakeRecord, why: str) -> None:
    rows = rows_of(batch_of(record, summary_record(1)))
    assert len(rows.sessions) == 1
    (parked,) = rows.rejected
    assert parked[0] == "acme"
    assert why in parked[7]
