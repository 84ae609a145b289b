"""Brings ClickHouse to the newest schema; safe to run at every start, in every worker at once."""

from functools import partial

import structlog
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.ddl import migrations
from streams.outages import outlast

log = structlog.get_logger()


async def migrate(client: AsyncClient) -> None:
    """Apply every migration in order; each is written so that applying it again changes nothing."""
    for name, statement in migrations():
        await outlast("clickhouse", partial(client.command, statement), (ClickHouseError, OSError))
        log.debug("migration_applied", migration=name)
