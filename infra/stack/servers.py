"""The four servers together: how each is made, its DSN, and starting and stopping all of them in parallel."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.stack.clickhouse import clickhouse_server
from infra.stack.endpoints import Endpoints
from infra.stack.kafka import kafka_server
from infra.stack.kinds import StackKind
from infra.stack.mongo import mongo_server
from infra.stack.ports import LOOPBACK, free_ports
from infra.stack.redis import redis_server
from infra.stack.server import Server


@dataclass(frozen=True, slots=True)
class ServerKind:
    """How to make one server, and how its clients name it."""

    make: Callable[[StackKind, Path, Path, int], Server]  # kind, data folder, log file, port
    dsn: Callable[[int], str]


SERVERS: Mapping[str, ServerKind] = {
    "kafka": ServerKind(kafka_server, lambda port: f"{LOOPBACK}:{port}"),
    "redis": ServerKind(redis_server, lambda port: f"redis://{LOOPBACK}:{port}/0"),
    "clickhouse": ServerKind(clickhouse_server, lambda port: f"http://{LOOPBACK}:{port}"),
    "mongo": ServerKind(mongo_server, lambda port: f"mongodb://{LOOPBACK}:{port}"),
}


@dataclass(frozen=True, slots=True)
class Stack:
    """The servers of one data folder, with the DSNs they answer on."""

    servers: Mapping[str, Server]
    endpoints: Endpoints

    async def run(self) -> None:
        """Start all in parallel; returns when every one answers, else stops them and raises the first error."""
        try:
            async with asyncio.TaskGroup() as group:
                for server in self.servers.values():
                    group.create_task(server.run())
        except BaseExceptionGroup as failures:
            await self.stop()
            raise failures.exceptions[0] from None

    async def stop(self, grace_s: float = 10.0) -> None:
        """Stop all in parallel."""
        await asyncio.gather(*(server.stop(grace_s) for server in self.servers.values()))


def build_stack(kind: StackKind, data_dir: Path) -> Stack:
    """The four servers on free ports, data in `data_dir/<server>`, logs in `data_dir/logs`; not started."""
    data_dir = data_dir.absolute()
    ports = dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))
    servers = {name: build_server(name, kind, data_dir, ports[name]) for name in SERVERS}
    return Stack(servers, Endpoints(**{name: SERVERS[name].dsn(port) for name, port in ports.items()}))


def build_server(name: str, kind: StackKind, data_dir: Path, port: int) -> Server:
    """One of SERVERS, not started; NotSetUpError when its binary is missing."""
    return SERVERS[name].make(kind, data_dir / name, data_dir / "logs" / f"{name}.log", port)


@asynccontextmanager
async def running_server(name: str, kind: StackKind, data_dir: Path) -> AsyncIterator[str]:
    """One server alone, on a free port; gives its DSN."""
    port = free_ports(1)[0]
    server = build_server(name, kind, data_dir, port)
    await server.run()
    try:
        yield SERVERS[name].dsn(port)
    finally:
        await server.stop()
