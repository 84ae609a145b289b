"""The MongoDB protocol on one machine: our front over montydb (embedded), or FerretDB on SQLite (native)."""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from infra.stack.cache import cache_dir
from infra.stack.kinds import NotSetUpError, StackKind
from infra.stack.ports import LOOPBACK
from infra.stack.server import Server

FERRETDB_BUILD = "1.24.2-2"  # its version, and the count of our builds of it: see native.py for what is patched


def ferretdb_binary() -> Path:
    """Where the built FerretDB is kept; may not exist yet."""
    return cache_dir() / f"ferretdb-{FERRETDB_BUILD}" / "ferretdb"


def mongo_server(kind: StackKind, data_dir: Path, log: Path, port: int) -> Server:
    """A MongoDB-compatible server with its SQLite files in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return Server("mongo", _command(kind, data_dir, port), log, lambda: _ping(port))


def _command(kind: StackKind, data_dir: Path, port: int) -> list[str]:
    if kind == "native":
        if not ferretdb_binary().exists():
            raise NotSetUpError("native stack not set up: run make native")
        return [str(ferretdb_binary()), f"{LOOPBACK}:{port}", str(data_dir)]
    if find_spec("montydb") is None:
        raise NotSetUpError("the embedded servers are not installed: pip install 'millrace[embedded]'")
    return [sys.executable, "-m", "infra.stack.mongo_front", str(data_dir), str(port)]


async def _ping(port: int) -> None:
    # First by hand: a pymongo client that is closed while it still connects leaves its socket open.
    _, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.close()
    await writer.wait_closed()
    from pymongo import AsyncMongoClient

    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        f"mongodb://{LOOPBACK}:{port}", serverSelectionTimeoutMS=1000
    )
    try:
        await client.admin.command("ping")
    finally:
        await client.close()
