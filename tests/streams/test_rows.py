"""Kafka records as columns."""

import base64
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.migrations import migrate
from streams.rows import EVENT_COLUMNS, REJECTED_COLUMNS, event_columns, refused_row, rejected_columns, rows_of
from tests.factories import NOON, make_event
from tests.streams.fakes import FakeRecord, batch_of


async def columns_of_table(clickhouse: AsyncClient, table: str) -> list[str]:
    return [row[0] for row in (await clickhouse.query(f"DESCRIBE TABLE {table}")).result_rows]


async def test_the_columns_are_those_of_the_tables(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    assert list(EVENT_COLUMNS) == await columns_of_table(clickhouse, "user_behaviors")
    assert list(REJECTED_COLUMNS) == await columns_of_table(clickhouse, "rejected_behaviors")


def test_a_validated_record_becomes_a_row_with_the_raw_records_place() -> None:
    warnings = (Issue("a.b", Code.MISSING, "is required"),)
    event = make_event(partition=3, offset=77, validation_warnings=warnings, positive=True, completion=0.4)
    record = FakeRecord(9, encode_event(event), topic="validated-behaviors-acme", partition=3)
    rows = rows_of(batch_of(record))
    row: dict[str, Any] = dict(zip(EVENT_COLUMNS, (column[0] for column in event_columns(rows.events)), strict=True))
    assert (row["kafka_partition"], row["kafka_offset"], row["timestamp"]) == (3, 77, NOON)
    assert (row["positive"], row["completion"]) == (True, 0.4)
    assert row["validation_warnings"] == [("a.b", "missing", "is required")]


def test_a_dead_letter_becomes_a_row_with_the_raw_records_place() -> None:
    errors = (Issue("a", Code.MISSING, "gone"), Issue("b", Code.MISSING, "gone too"))
    place: dict[str, Any] = {"topic": "user-behaviors-acme", "partition": 1, "offset": 5, "timestamp": NOON}
    letter = dead_letter(b"x", errors, **place, scenario_id="feed", config_version=3)
    rows = rows_of(batch_of(FakeRecord(0, encode_dead_letter(letter), topic="rejected-behaviors-acme")))
    (row,) = rows.rejected
    assert dict(zip(REJECTED_COLUMNS, row, strict=True)) == {
        "tenant_id": "acme",
        "scenario_id": "feed",
        "config_version": 3,
        "timestamp": NOON,
        "reason_codes": ["missing"],
        "fields": ["a", "b"],
        "errors": [("a", "missing", "gone"), ("b", "missing", "gone too")],
        "message": "a: gone; b: gone too",
        "original": base64.b64encode(b"x").decode(),
        "kafka_topic": "user-behaviors-acme",
        "kafka_partition": 1,
        "kafka_offset": 5,
    }
    assert [len(column) for column in rejected_columns(rows.rejected)] == [1] * len(REJECTED_COLUMNS)


def test_a_dead_letter_of_no_scenario_has_an_empty_one() -> None:
    letter = dead_letter(b"x", (Issue("", Code.INVALID_JSON, "no"),), topic="t", partition=0, offset=5, timestamp=NOON)
    rows = rows_of(batch_of(FakeRecord(0, encode_dead_letter(letter), topic="rejected-behaviors-acme")))
    assert rows.rejected[0][:3] == ("acme", "", 0)


@pytest.mark.parametrize(("version", "kept"), [(7, 7), (2**32 - 1, 2**32 - 1), (2**32, 0), (-1, 0)])
def test_an_event_that_the_engine_refused_keeps_its_scenario(version: int, kept: int) -> None:
    row = dict(zip(REJECTED_COLUMNS, refused_row(make_event(config_version=version), "too much"), strict=True))
    assert (row["scenario_id"], row["config_version"]) == ("vlog_feed", kept)
    assert row["errors"] == [("", "not_storable", "too much")]


def test_a_foreign_record_is_parked_and_poisons_nothing() -> None:
    good = encode_event(make_event())
    values = [b"not avro", None, good[:-3], good]
    batch = batch_of(*(FakeRecord(n, value, topic="validated-behaviors-acme") for n, value in enumerate(values)))
    rows = rows_of(batch)
    assert len(rows.events) == 1
    assert [row[-1] for row in rows.rejected] == [0, 1, 2]
    codes = REJECTED_COLUMNS.index("reason_codes")
    assert {code for row in rows.rejected for code in row[codes]} == {"not_storable"}
