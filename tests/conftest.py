"""Fixtures over real servers. A test asks for what it needs, and only those servers start, once a session.

Every server fixture is parametrised by the way the servers are had: `embedded` (pip alone), `native` (make native)
and `docker` (a Docker engine); what is not there is skipped with the reason. MILLRACE_TEST_REQUIRE_NATIVE=1 makes a
missing native stack a failure, so that CI cannot pass by skipping.
"""

import gc
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis  # noqa: F401  its plugin would import it while pytest sums up, too deep in CPython 3.11's parser
import pytest
import pytest_asyncio
import structlog

from infra.stack.endpoints import Endpoints
from infra.stack.kinds import STACK_KINDS, NotSetUpError
from infra.stack.servers import running_server

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient as ClickHouse
    from pymongo.asynchronous.database import AsyncDatabase
    from redis.asyncio import Redis

NATIVE_MISSING = "native stack not set up: run make native"
STACKS = [
    pytest.param("embedded", marks=pytest.mark.stack),
    pytest.param("native", marks=[pytest.mark.stack, pytest.mark.native]),
    pytest.param("docker", marks=pytest.mark.stack),
]


@cache
def _docker_refusal() -> str | None:
    """Why there is no Docker engine to use; None when one answers."""
    import docker

    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        return f"no Docker engine: {host} is not there"
    try:
        with closing(docker.DockerClient(base_url=host, version="auto", timeout=2)) as client:
            client.ping()
    except Exception as error:
        return f"no Docker engine: {error}"
    return None


def unavailable(kind: str, reason: str) -> None:
    """Skips the test with the reason; fails it where the native stack is required."""
    if kind == "native" and os.environ.get("MILLRACE_TEST_REQUIRE_NATIVE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Servers:
    """The servers of every kind that was asked for, each started once and stopped at the end of the session.

    Not by the fixtures themselves: they end whenever their parameter changes, which it does in every file where
    several processes share the tests.
    """

    def __init__(self, running: AsyncExitStack) -> None:
        self._running = running
        self._dsns: dict[tuple[str, str], str] = {}

    async def dsn(self, name: str, kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
        """Where the server listens; skips the test where this kind is not to be had."""
        if (name, kind) not in self._dsns:
            self._dsns[name, kind] = await self._start(name, kind, tmp_path_factory.mktemp(f"{name}-{kind}"))
        return self._dsns[name, kind]

    async def _start(self, name: str, kind: str, data_dir: Path) -> str:
        if kind == "docker":
            if refusal := _docker_refusal():
                pytest.skip(refusal)
            from tests.containers import container

            return self._running.enter_context(container(name))
        known = next(k for k in STACK_KINDS if k == kind)
        try:
            return await self._running.enter_async_context(running_server(name, known, data_dir))
        except NotSetUpError as error:
            unavailable(kind, NATIVE_MISSING if kind == "native" else str(error))
            raise


@pytest_asyncio.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """All servers of the session."""
    async with AsyncExitStack() as running:
        yield Servers(running)


@pytest.fixture(scope="session", params=STACKS)
def stack_kind(request: pytest.FixtureRequest) -> str:
    """embedded, native or docker: the parameter of every server fixture."""
    return str(request.param)


@pytest_asyncio.fixture(scope="module")
async def kafka_server(servers: Servers, stack_kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """host:port of a running Kafka broker, without the topics of earlier modules: workers would read them all."""
    server = await servers.dsn("kafka", stack_kind, tmp_path_factory)
    await _delete_topics(server)
    return server


async def _delete_topics(kafka: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        if topics := [topic for topic in await admin.list_topics() if not topic.startswith("__")]:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


@pytest_asyncio.fixture(scope="session")
async def redis_server(servers: Servers, stack_kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """redis:// URL of a running Redis; starts nothing else."""
    return await servers.dsn("redis", stack_kind, tmp_path_factory)


@pytest_asyncio.fixture(scope="session")
async def clickhouse_server(servers: Servers, stack_kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """http:// URL of a running ClickHouse."""
    return await servers.dsn("clickhouse", stack_kind, tmp_path_factory)


@pytest_asyncio.fixture(scope="session")
async def mongo_server(servers: Servers, stack_kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """mongodb:// URL of a running MongoDB-compatible server."""
    return await servers.dsn("mongo", stack_kind, tmp_path_factory)


@pytest.fixture(scope="module")
def stack(kafka_server: str, redis_server: str, clickhouse_server: str, mongo_server: str) -> Endpoints:
    """All four servers of one kind."""
    return Endpoints(kafka=kafka_server, redis=redis_server, clickhouse=clickhouse_server, mongo=mongo_server)


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """What commands and roles set for their whole process, which here is every later test's as well."""
    sys.setrecursionlimit(1000)  # hypothesis raises it, and leaves it so after asynchronous tests
    switching_s, thresholds, logging_as = sys.getswitchinterval(), gc.get_threshold(), structlog.get_config()
    yield
    sys.setswitchinterval(switching_s)
    gc.set_threshold(*thresholds)
    structlog.configure(**logging_as)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test knows."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def kafka(kafka_server: str) -> Iterator[str]:
    """Bootstrap address of the broker; use the `tenant` fixture for topics of your own."""
    yield kafka_server


@pytest.fixture
async def redis_client(redis_server: str) -> AsyncIterator["Redis"]:
    """A client that answers bytes, on a shared server: keys begin with the `tenant` fixture."""
    from redis.asyncio import Redis

    client = Redis.from_url(redis_server)
    yield client
    await client.aclose()


@pytest.fixture
async def clickhouse(clickhouse_server: str) -> AsyncIterator["ClickHouse"]:
    """An async client in a database of its own, dropped after the test."""
    import clickhouse_connect

    database = f"test_{secrets.token_hex(4)}"
    admin = await clickhouse_connect.get_async_client(dsn=clickhouse_server)
    await admin.command(f"CREATE DATABASE {database}")
    client = await clickhouse_connect.get_async_client(dsn=clickhouse_server, database=database)
    yield client
    await client.close()
    await admin.command(f"DROP DATABASE {database}")
    await admin.close()


@pytest.fixture
async def mongo_database(mongo_server: str) -> AsyncIterator["AsyncDatabase[dict[str, Any]]"]:
    """A database of its own, dropped after the test."""
    from pymongo import AsyncMongoClient

    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo_server, tz_aware=True)
    name = f"test_{secrets.token_hex(4)}"
    yield client[name]
    await client.drop_database(name)
    await client.close()
