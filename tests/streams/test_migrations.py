"""Migrations of ClickHouse: numbered, forward only, and safe to run again, at once, and over an older database."""

import asyncio
import re
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.ddl import migrations
from streams.migrations import migrate
from streams.rows import EVENT_COLUMNS

NUMBERED = re.compile(r"\d{3}_[a-z_]+\.sql")
# What a statement may begin with: run again it changes nothing. An INSERT must say by itself what makes it so.
SAFE_AGAIN = re.compile(
    r"CREATE (TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS |CREATE OR REPLACE VIEW "
    r"|ALTER TABLE \w+\s+ADD COLUMN IF NOT EXISTS |INSERT INTO .*WHERE \(SELECT count\(\) FROM fences .*= 0",
    re.DOTALL,
)
STATEMENTS = migrations()


def bare(statement: str) -> str:
    """Without the comments."""
    return re.sub(r"^--.*\n", "", statement, flags=re.MULTILINE).strip()


def test_each_has_a_number_of_its_own() -> None:
    names = [name for name, _ in STATEMENTS]
    assert [name for name in names if not NUMBERED.fullmatch(name)] == []
    assert len({name[:3] for name in names}) == len(names)


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_each_is_one_statement_that_may_run_again_and_takes_nothing_away(name: str, statement: str) -> None:
    assert SAFE_AGAIN.match(bare(statement))
    assert ";" not in bare(statement)
    assert not re.search(r"\b(DROP|TRUNCATE|DELETE|RENAME|DETACH)\b", bare(statement))


async def schema(client: AsyncClient) -> Any:
    """Every table and view, and the content of those that migrations fill."""
    tables = await client.query(
        "SELECT name, engine, create_table_query FROM system.tables WHERE database = currentDatabase()"
        " AND name NOT LIKE '.inner%' ORDER BY name"
    )
    fences = await client.query("SELECT consumer, kafka_topic, kafka_partition, next_offset FROM fences FINAL")
    return tables.result_rows, fences.result_rows


async def test_workers_that_start_at_once_and_again_leave_one_schema(clickhouse: AsyncClient) -> None:
    await asyncio.gather(migrate(clickhouse), migrate(clickhouse), migrate(clickhouse))
    once = await schema(clickhouse)
    await migrate(clickhouse)
    assert await schema(clickhouse) == once


@pytest.mark.parametrize("done", range(3, len(STATEMENTS), 4))
async def test_an_older_database_keeps_its_rows_and_gets_the_newest_schema(clickhouse: AsyncClient, done: int) -> None:
    for _, statement in STATEMENTS[:done]:
        await clickhouse.command(statement)
    await clickhouse.command(
        "INSERT INTO user_behaviors (event_id, tenant_id, scenario_id, user_id, timestamp)"
        " SELECT concat('e', toString(number)), 'acme', 's', concat('u', toString(number % 7)), '2025-11-01'"
        " FROM numbers(50)"
    )
    for _ in range(2):
        await migrate(clickhouse)
        counted = await clickhouse.query("SELECT count() FROM user_behaviors")
        days = await clickhouse.query("SELECT count() FROM user_days FINAL")
        assert (counted.result_rows, days.result_rows) == ([(50,)], [(7,)])
    columns = await clickhouse.query(f"SELECT {', '.join(EVENT_COLUMNS)} FROM user_behaviors LIMIT 1")
    assert len(columns.result_rows) == 1
