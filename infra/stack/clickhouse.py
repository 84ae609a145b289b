"""ClickHouse on one machine: the engine of the chDB wheel behind our HTTP front, for both kinds of stack.

No current clickhouse-server comes by a package registry, so the native stack takes the same engine.
"""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

from infra.stack.kinds import NotSetUpError, StackKind
from infra.stack.ports import LOOPBACK
from infra.stack.server import Server


def clickhouse_server(kind: StackKind, data_dir: Path, log: Path, port: int) -> Server:
    """The front process over `data_dir`, speaking ClickHouse's HTTP interface."""
    if find_spec("chdb") is None:
        raise NotSetUpError("the embedded servers are not installed: pip install 'millrace[embedded]'")
    command = [sys.executable, "-m", "infra.stack.clickhouse_front", str(data_dir), str(port)]
    return Server("clickhouse", command, log, lambda: _ping(port))


async def _ping(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(answer[:100].decode(errors="replace"))
    finally:
        writer.close()
        await writer.wait_closed()
