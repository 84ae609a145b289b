"""Three Kafka brokers as one cluster, each a process that a test may kill."""

import asyncio
import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from infra.stack.jars import ensure_jars
from infra.stack.kafka import HEAP, _format, _properties, java_binary, kafka_server
from infra.stack.kinds import NotSetUpError
from infra.stack.ports import LOOPBACK, free_ports
from infra.stack.server import Server
from infra.stack.servers import SERVERS, build_server
from schemas.topics import raw_topic
from tests.conftest import unavailable
from tests.faults.scene import Scene, eventually
from tests.faults.traffic import PARTITIONS
from tests.streams.live import make_config, make_topic

NODES = 3
SMALL_HEAP = "192m"
REPLICAS = {
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,  # of the small heap
    "broker.session.timeout.ms": 3000,  # how long a dead leader stays leader
    "broker.heartbeat.interval.ms": 500,
    "auto.leader.rebalance.enable": "true",  # the preferred leader is elected back,
    "leader.imbalance.check.interval.seconds": 1,  # within a second of being in sync again
    "leader.imbalance.per.broker.percentage": 0,
}


@dataclass(frozen=True)
class Partition:
    """Broker numbers; `preferred` leads whenever it can."""

    leader: int
    preferred: int
    in_sync: int


@dataclass(frozen=True)
class Brokers:
    """Numbered from 0; each is broker and controller, so that two of three are a quorum."""

    nodes: tuple[Server, ...]
    ports: tuple[int, ...]

    @property
    def dsn(self) -> str:
        return ",".join(f"{LOOPBACK}:{port}" for port in self.ports)

    async def partitions(self, topic: str) -> list[Partition]:
        """What the cluster says of a topic, in the order of its partitions."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.dsn)
        await admin.start()
        try:
            (found,) = await admin.describe_topics([topic])
        finally:
            await admin.close()
        parts = sorted(found["partitions"], key=lambda part: int(part["partition"]))
        return [Partition(part["leader"] - 1, part["replicas"][0] - 1, len(part["isr"])) for part in parts]

    async def wait_whole(self, topic: str) -> None:
        """Returns once every replica is in sync and led by the one preferred."""
        found = await eventually(lambda: self.partitions(topic), is_whole)
        assert is_whole(found), f"not whole again: {found}"


def is_whole(partitions: Sequence[Partition]) -> bool:
    return all(part.in_sync == NODES and part.leader == part.preferred for part in partitions)


@asynccontextmanager
async def cluster_scene(tenant: str, folder: Path) -> AsyncIterator[tuple[Scene, Brokers]]:
    """A scene whose broker is three; skips where the native stack is absent."""
    (port,) = free_ports(1)
    try:
        redis = build_server("redis", "native", folder, port)
        brokers = await formatted_brokers(folder)
    except NotSetUpError as error:
        unavailable("native", str(error))
    async with AsyncExitStack() as stack:
        for server in (redis, *brokers.nodes):
            stack.push_async_callback(server.stop, 1)  # nobody needs their data afterwards
        await asyncio.gather(*(server.run() for server in (redis, *brokers.nodes)))
        await make_topic(brokers.dsn, raw_topic(tenant), PARTITIONS, replicas=NODES)
        config = make_config(brokers.dsn, replication_factor=NODES)
        yield Scene(tenant, brokers.nodes[0], redis, brokers.dsn, SERVERS["redis"].dsn(port), config), brokers


async def formatted_brokers(folder: Path) -> Brokers:
    """The first broker's folder is formatted, the others are copies of it under their own number."""
    await ensure_jars()
    ports = free_ports(2 * NODES)
    controllers = [f"{number + 1}@{LOOPBACK}:{port}" for number, port in enumerate(ports[NODES:])]
    homes = [folder / f"kafka{number}" for number in range(NODES)]
    for number, home in enumerate(homes):
        home.mkdir()
        settings = REPLICAS | {"node.id": number + 1, "controller.quorum.voters": ",".join(controllers)}
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())  # the last word on a setting counts
        (home / "server.properties").write_text(_properties(home, ports[number], ports[NODES + number]) + lines)
    await _format(java_binary("native"), homes[0] / "server.properties", folder / "format.log")
    for number, home in enumerate(homes[1:], start=1):
        shutil.copytree(homes[0] / "log", home / "log")
        renumber(home / "log" / "meta.properties", number + 1)
    return Brokers(tuple(broker(home, port) for home, port in zip(homes, ports, strict=False)), tuple(ports[:NODES]))


def renumber(file: Path, node: int) -> None:
    own = {"node.id": str(node), "directory.id": urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")}
    lines = [line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#")]
    file.write_text("".join(f"{name}={own.get(name, value)}\n" for name, value in lines))


def broker(home: Path, port: int) -> Server:
    server = kafka_server("native", home, home / "broker.log", port)
    command = [word.replace(HEAP, SMALL_HEAP) for word in server.command]
    return replace(server, command=[command[0], "-XX:TieredStopAtLevel=1", *command[1:]], prepare=None)
