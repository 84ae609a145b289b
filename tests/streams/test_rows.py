"""Kafka records as columns."""

import base64
import json
from importlib import resources
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.single_object import HEADER_BYTES, SingleObjectCodec, load_codec
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.migrations import migrate
from streams.rows import (
    ARRIVAL_STEP,
    EVENT_COLUMNS,
    REJECTED_COLUMNS,
    as_columns,
    decoded_events,
    event_columns,
    refused_row,
    rows_of,
)
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
    events, parked = decoded_events(rows.validated)
    row: dict[str, Any] = dict(zip(EVENT_COLUMNS, (column[0] for column in event_columns(events)), strict=True))
    assert (row["kafka_partition"], row["kafka_offset"], row["timestamp"]) == (3, 77, NOON)
    assert (row["positive"], row["completion"]) == (True, 0.4)
    assert row["validation_warnings"] == [("a.b", "missing", "is required")]
    assert (parked, rows.tenant, rows.arrivals) == ([], "acme", [NOON + 5])


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
    assert [len(column) for column in as_columns(rows.rejected)] == [1] * len(REJECTED_COLUMNS)


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
    events, damaged = decoded_events(rows.validated)
    assert len(events) == 1
    assert [row[-1] for row in rows.rejected + damaged] == [0, 1, 2]
    codes = REJECTED_COLUMNS.index("reason_codes")
    assert {code for row in rows.rejected + damaged for code in row[codes]} == {"not_storable"}


def test_an_event_of_an_older_schema_is_decoded_here() -> None:
    older = json.loads((resources.files("schemas") / "avro" / "validated_behavior.v1.avsc").read_text())
    newest = load_codec("validated_behavior").decode(encode_event(make_event()))
    value = SingleObjectCodec(older).encode({field["name"]: newest[field["name"]] for field in older["fields"]})
    rows = rows_of(batch_of(FakeRecord(0, value, topic="validated-behaviors-acme")))
    assert rows.events == [make_event(positive=True)]
    assert rows.validated == []


def test_every_event_counts_with_an_arrival_that_is_not_after_its_own() -> None:
    events = [make_event(offset=n, received_at=NOON + 10 * n) for n in range(3 * ARRIVAL_STEP + 5)]
    records = [FakeRecord(n, encode_event(event), topic="validated-behaviors-acme") for n, event in enumerate(events)]
    arrivals = rows_of(batch_of(*records)).arrivals
    late = [event.received_at - arrival for event, arrival in zip(events, arrivals, strict=True)]
    assert min(late) == 0
    assert max(late) == 10 * (ARRIVAL_STEP - 1)


def test_the_engine_is_given_every_column_by_its_name() -> None:
    assert set(EVENT_COLUMNS) <= {field["name"] for field in load_codec("validated_behavior").schema["fields"]}


@given(st.binary(max_size=300))
def test_bytes_of_no_record_are_parked_whatever_they_are(tail: bytes) -> None:
    header = encode_event(make_event())[:HEADER_BYTES]
    for value in (tail, header + tail):
        record = FakeRecord(0, value, topic="validated-behaviors-acme")
        events, parked = decoded_events([record])
        assert len(events) + len(parked) == 1
