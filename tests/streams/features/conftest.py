"""A redis-server of these tests' own, without persistence."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a running server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"--port": str(port), "--bind": "127.0.0.1", "--save": "", "--dir": str(tmp_path_factory.mktemp("redis"))}
    command = [
        str(Path(sys.executable).with_name("redis-server")),
        *(word for pair in options.items() for word in pair),
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}"
    server.kill()  # it holds nothing worth a clean end, and may be busy with a script
    server.wait()


@pytest.fixture(scope="session")
async def redis_client(redis_server: str) -> AsyncIterator[Redis]:
    """A client of that server, once it answers."""
    async with Redis.from_url(redis_server, retry=Retry(ConstantBackoff(0.05), 100)) as starting:
        await starting.ping()
    async with Redis.from_url(redis_server) as client:
        yield client
