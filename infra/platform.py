"""The whole platform on one machine: servers, doors and workers as one supervised process tree."""

import asyncio
import fcntl
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from infra.errors import OperatorError
from infra.stack.kinds import StackKind
from infra.stack.ports import LOOPBACK, claim_port, free_ports
from infra.stack.server import Server
from infra.stack.servers import Stack, build_stack
from infra.supervisor import Say, Supervisor

ENDPOINTS_FILE: Final = "endpoints.json"
METRICS_FILE: Final = "metrics.json"
EMBEDDED_PARTITIONS: Final = 4

# role -> the words after `millrace` that run it; doors first, in the order in which they stop.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "http": ("serve", "http"),
    "grpc": ("serve", "grpc"),
    "stream": ("worker", "stream"),
    "analytics": ("worker", "analytics"),
    "recommend": ("worker", "recommend"),
}
DOORS: Final = ("http", "grpc")
# Together under ten seconds, which is what a person waits for Ctrl-C.
DOOR_GRACE_S, WORKER_GRACE_S, SERVER_GRACE_S = 2.0, 4.0, 3.0


@dataclass(slots=True)
class Platform:
    """A running platform. `endpoints` is what `endpoints.json` holds, `metrics` (role -> URL) what `metrics.json`."""

    endpoints: dict[str, Any]
    metrics: dict[str, str]
    stack: Stack
    roles: Mapping[str, Server]
    supervisor: Supervisor

    def kill(self, name: str, number: int) -> None:
        """Send a signal to one server or role; the supervisor starts it again if that ends it."""
        {**self.stack.servers, **self.roles}[name].signal(number)

    async def stop(self) -> None:
        """Doors first, then workers, which flush and commit, then servers; within ten seconds."""
        await self.supervisor.release([*self.roles, *self.stack.servers])
        await _stop([self.roles[name] for name in DOORS], DOOR_GRACE_S)
        await _stop([role for name, role in self.roles.items() if name not in DOORS], WORKER_GRACE_S)
        await self.stack.stop(SERVER_GRACE_S)


@asynccontextmanager
async def start_platform(
    data_dir: Path,
    stack: StackKind = "embedded",
    *,
    http_port: int = 0,
    grpc_port: int = 0,
    extra_env: Mapping[str, str] | None = None,
    say: Say = lambda _: None,
) -> AsyncIterator[Platform]:
    """Gives the platform once every part answers; stops all of it at the end. Port 0: any free one.

    Raises OperatorError when the data directory is in use, PortInUseError, NotSetUpError or ServerError.
    """
    with _sole_user(data_dir):
        ports = {"http": claim_port(http_port, "--http-port"), "grpc": claim_port(grpc_port, "--grpc-port")}
        servers = build_stack(stack, data_dir)
        # Each role has a port for its metrics; the HTTP door answers for itself.
        metrics_ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True)) | {"http": ports["http"]}
        roles = _build_roles(data_dir, servers, ports, metrics_ports, extra_env or {})
        metrics = {name: f"http://{LOOPBACK}:{port}/metrics" for name, port in metrics_ports.items()}
        platform = Platform(_endpoints(servers, ports), metrics, servers, roles, Supervisor(say))
        endpoints_file, metrics_file = data_dir / ENDPOINTS_FILE, data_dir / METRICS_FILE
        try:
            await servers.run()
            await _run_all(roles.values())
            platform.supervisor.watch([*servers.servers.values(), *roles.values()])
            metrics_file.write_bytes(msgspec.json.encode(platform.metrics))
            endpoints_file.write_bytes(msgspec.json.encode(platform.endpoints))
            yield platform
        finally:
            endpoints_file.unlink(missing_ok=True)
            metrics_file.unlink(missing_ok=True)
            await platform.stop()


@contextmanager
def _sole_user(data_dir: Path) -> Iterator[None]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock_file = (data_dir / "lock").open("w")
    except OSError as error:
        raise OperatorError(f"{data_dir} cannot be used ({error.strerror}): choose a folder with --data-dir") from error
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OperatorError(
                f"another `millrace up` uses {data_dir}: stop it, or choose another folder with --data-dir"
            ) from error
        yield


def _endpoints(stack: Stack, ports: Mapping[str, int]) -> dict[str, Any]:
    servers = stack.endpoints
    return {
        "http": f"http://{LOOPBACK}:{ports['http']}",
        "grpc": f"{LOOPBACK}:{ports['grpc']}",
        "kafka": servers.kafka,
        "redis": servers.redis,
        "clickhouse": servers.clickhouse,
        "mongo": servers.mongo,
        "pid": os.getpid(),
    }


def _build_roles(
    data_dir: Path,
    stack: Stack,
    ports: Mapping[str, int],
    metrics_ports: Mapping[str, int],
    extra_env: Mapping[str, str],
) -> dict[str, Server]:
    common = {
        **stack.endpoints.environment(),
        "MILLRACE_HTTP_PORT": str(ports["http"]),
        "MILLRACE_GRPC_PORT": str(ports["grpc"]),
        "MILLRACE_RAW_PARTITIONS": str(EMBEDDED_PARTITIONS),
        **extra_env,
    }
    return {
        name: Server(
            name,
            (sys.executable, "-m", "infra.cli", *words),
            data_dir.absolute() / "logs" / f"{name}.log",
            lambda port=metrics_ports[name]: _probe(port),  # type: ignore[misc]
            environment=common | {"MILLRACE_METRICS_PORT": "0" if name == "http" else str(metrics_ports[name])},
        )
        for name, words in ROLES.items()
    }


async def _probe(port: int) -> None:
    async with httpx.AsyncClient() as client:
        (await client.get(f"http://{LOOPBACK}:{port}/readyz", timeout=2.0)).raise_for_status()


async def _run_all(servers: Iterable[Server]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.run())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _stop(servers: Sequence[Server], grace_s: float) -> None:
    await asyncio.gather(*(server.stop(grace_s) for server in servers))
