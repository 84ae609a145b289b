"""Kafka records as columns."""

import base64
import re
from typing import Any

from schemas.ddl import migrations
from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.rows import EVENT_COLUMNS, REJECTED_COLUMNS, event_columns, rejected_columns, rows_of
from tests.factories import NOON, make_event
from tests.streams.fakes import FakeRecord, batch_of


def columns_of_table(table: str) -> list[str]:
    statement = next(text for _, text in migrations() if re.search(rf"TABLE IF NOT EXISTS {table}\s*\(", text))
    body = statement.partition("(\n")[2].partition("\n)")[0]
    return [line.split()[0] for line in body.splitlines()]


def test_the_columns_are_those_of_the_tables() -> None:
    assert list(EVENT_COLUMNS) == columns_of_table("user_behaviors")
    assert list(REJECTED_COLUMNS) == columns_of_table("rejected_behaviors")


def test_a_validated_record_becomes_a_row_with_the_raw_records_place() -> None:
    event = make_event(partition=3, offset=77, validation_warnings=(Issue("a.b", Code.MISSING, "is required"),))
    record = FakeRecord(9, encode_event(event), topic="validated-behaviors-acme", partition=3)
    rows = rows_of(batch_of(record))
    row: dict[str, Any] = dict(zip(EVENT_COLUMNS, (column[0] for column in event_columns(rows.events)), strict=True))
    assert (row["kafka_partition"], row["kafka_offset"], row["timestamp"]) == (3, 77, NOON)
    assert row["validation_warnings"] == [("a.b", "missing", "is required")]
    assert rows.oldest_arrival == NOON + 5


def test_a_dead_letter_becomes_a_row_with_the_raw_records_place() -> None:
    letter = dead_letter(
        b"x", (Issue("a", Code.MISSING, "gone"),), topic="user-behaviors-acme", partition=1, offset=5, timestamp=NOON
    )
    rows = rows_of(batch_of(FakeRecord(0, encode_dead_letter(letter), topic="rejected-behaviors-acme")))
    (row,) = rows.rejected
    assert dict(zip(REJECTED_COLUMNS, row, strict=True)) == {
        "tenant_id": "acme",
        "timestamp": NOON,
        "reason_codes": ["missing"],
        "fields": ["a"],
        "message": "a: gone",
        "original": base64.b64encode(b"x").decode(),
        "kafka_topic": "user-behaviors-acme",
        "kafka_partition": 1,
        "kafka_offset": 5,
    }
    assert [len(column) for column in rejected_columns(rows.rejected)] == [1] * len(REJECTED_COLUMNS)


def test_a_foreign_record_is_parked_and_poisons_nothing() -> None:
    good = encode_event(make_event())
    values = [b"not avro", None, good[:-3], good]
    batch = batch_of(*(FakeRecord(n, value, topic="validated-behaviors-acme") for n, value in enumerate(values)))
    rows = rows_of(batch)
    assert len(rows.events) == 1
    assert [row[-1] for row in rows.rejected] == [0, 1, 2]
    assert {code for row in rows.rejected for code in row[2]} == {"not_storable"}
