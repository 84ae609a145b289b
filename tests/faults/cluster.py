"""A Redis cluster of three processes that a test may kill one by one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from infra.stack.kinds import NotSetUpError
from infra.stack.ports import LOOPBACK, free_ports
from infra.stack.redis import redis_server
from infra.stack.server import Server
from tests.conftest import unavailable
from tests.faults.scene import eventually

NODES = 3
SLOTS = 16_384
SETTINGS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "2000",
    "cluster-require-full-coverage": "no",  # a node's death stops the tenants on it, no other
}


@dataclass(frozen=True)
class Cluster:
    """Its nodes; each has a third of the slots and no replica."""

    nodes: tuple[Server, ...]
    ports: tuple[int, ...]

    @property
    def dsn(self) -> str:
        return f"redis://{LOOPBACK}:{self.ports[0]}"

    def node_of(self, client: RedisCluster, tenant: str) -> int:
        """The number of the node that has a tenant's keys."""
        return client.keyslot(f"{{{tenant}}}:") * NODES // SLOTS

    async def copy(self, client: RedisCluster, tenant: str, plain: Redis) -> None:
        """A tenant's keys into a plain Redis, under their plain names."""
        node: Any
        async with Redis(port=self.ports[self.node_of(client, tenant)]) as node:
            async for name in node.scan_iter(match=f"{{{tenant}}}:*", count=1000):
                await plain.restore(name.replace(b"{", b"").replace(b"}", b""), 0, await node.dump(name))


@asynccontextmanager
async def native_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Three nodes, joined and agreed; skips where the native stack is absent."""
    ports = tuple(free_ports(2 * NODES))
    try:
        nodes = tuple(cluster_node(folder / f"node{n}", ports[n], ports[NODES + n]) for n in range(NODES))
    except NotSetUpError as error:
        unavailable("native", str(error))
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.push_async_callback(node.stop)
        await asyncio.gather(*(node.run() for node in nodes))
        await join(ports)
        yield Cluster(nodes, ports[:NODES])


def cluster_node(folder: Path, port: int, bus_port: int) -> Server:
    server = redis_server("native", folder, folder / "log", port)
    settings = SETTINGS | {"cluster-port": str(bus_port)}
    return replace(server, command=[*server.command, *(w for name, v in settings.items() for w in (f"--{name}", v))])


async def join(ports: tuple[int, ...]) -> None:
    node: Any
    for number in range(NODES):
        async with Redis(port=ports[number]) as node:
            await node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            first, end = (-(-SLOTS * n // NODES) for n in (number, number + 1))
            await node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            await node.execute_command("CLUSTER", "MEET", LOOPBACK, ports[0], ports[NODES])
    states = await eventually(lambda: asyncio.gather(*map(agreed, ports[:NODES])), all)
    assert all(states), "the nodes do not agree"


async def agreed(port: int) -> bool:
    """Whether a node knows the others and every slot."""
    node: Any
    async with Redis(port=port, decode_responses=True) as node:
        try:
            info = await node.execute_command("CLUSTER", "INFO")
        except RedisError:
            return False
    wanted = {"cluster_state:ok", f"cluster_known_nodes:{NODES}", f"cluster_slots_ok:{SLOTS}"}
    return wanted <= set(info.splitlines())
