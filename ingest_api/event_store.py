"""Past events, asked of ClickHouse by the calls that look back. It connects when it is first asked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from tracking_configs.errors import EventsUnavailableError

OpenClickHouse = Callable[[], Awaitable[AsyncClient]]
Rows = Sequence[Sequence[Any]]

QUERY_TIMEOUT_S: Final = 10.0


class EventStore:
    """Runs queries whose every value is a bound parameter: `{tenant:String}`."""

    def __init__(self, open_clickhouse: OpenClickHouse) -> None:
        self._open = open_clickhouse
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """The answer's rows. Raises EventsUnavailableError when ClickHouse is away or does not answer in time."""
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                client = await self._connected()
                answer = await client.query(query, parameters=dict(parameters))
        except (ClickHouseError, OSError, TimeoutError) as error:
            raise EventsUnavailableError("ClickHouse", str(error)[:200] or type(error).__name__) from error
        rows: Rows = answer.result_rows
        return rows

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _connected(self) -> AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
            return self._client
