"""Deletes the rows of a user from ClickHouse, by lightweight deletes.

Promise: when `erase` returns, no query sees the rows; the engine drops them from disk at a later merge. Rows that are
gone already are counted as none, so it is safe to repeat. One statement a table: a tenant's part of the table is read.
"""

import asyncio
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from ingest_api.event_store import EventStore
from tracking_configs.errors import EventsUnavailableError

DELETE_TIMEOUT_S: Final = 60.0  # a delete that takes longer goes on in the engine; the call may be repeated
_OF_USER: Final = "tenant_id = {tenant:String} AND user_id = {user:String}"
# A dead letter is the user's when its JSON says so: the id as text, or as the number of the same digits.
_NAMES_USER: Final = """
    tenant_id = {tenant:String} AND (
        JSONExtractString(tryBase64Decode(original), 'user_id') = {user:String}
        OR JSONExtractRaw(tryBase64Decode(original), 'user_id') = {user:String}
    )
"""
ROWS_OF_USER: Final[dict[str, str]] = {  # table -> which of its rows are the user's
    "user_behaviors": _OF_USER,
    "user_days": _OF_USER,
    "sessions": _OF_USER,
    "recommendation_log": _OF_USER,
    "rejected_behaviors": _NAMES_USER,
}
_TABLES: Final = """
    SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN {tables:Array(String)}
"""


class ErasedRows(EventStore):
    """Raises EventsUnavailableError."""

    async def erase(self, tenant: str, user_id: str) -> dict[str, int]:
        """Delete the user's rows of every table that is there; `clickhouse_<table>` -> how many there were."""
        parameters = {"tenant": tenant, "user": user_id}
        found = {name for (name,) in await self.rows(_TABLES, {"tables": list(ROWS_OF_USER)})}
        counts: dict[str, int] = {}
        for table, where in ROWS_OF_USER.items():
            if table in found:
                counts[f"clickhouse_{table}"] = await self._erase(table, where, parameters)
        return counts

    async def _erase(self, table: str, where: str, parameters: dict[str, Any]) -> int:
        ((count,),) = await self.rows(
            f"SELECT count() FROM {table} WHERE {where} SETTINGS final = 0",  # noqa: S608 - constants of this file
            parameters,
        )
        if count:
            await self._command(f"DELETE FROM {table} WHERE {where}", parameters)  # noqa: S608 - as above
        return int(count)

    async def _command(self, statement: str, parameters: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(DELETE_TIMEOUT_S):
                client = await self._connected()
                await client.command(statement, parameters=parameters)
        except (ClickHouseError, OSError, TimeoutError) as error:
            raise EventsUnavailableError("ClickHouse", str(error)[:200] or type(error).__name__) from error
