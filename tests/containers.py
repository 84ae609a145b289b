"""The servers as containers, for machines with a Docker engine: the images that docker-compose.yml names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def image(service: str) -> str:
    """The image that docker-compose.yml pins for a service."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return str(compose["services"][service]["image"])


@contextmanager
def container(name: str) -> Iterator[str]:
    """One server of the stack, running; gives its DSN."""
    from testcontainers.clickhouse import ClickHouseContainer
    from testcontainers.kafka import KafkaContainer
    from testcontainers.mongodb import MongoDbContainer
    from testcontainers.redis import RedisContainer

    if name == "kafka":
        with KafkaContainer(image("kafka")) as kafka:
            yield str(kafka.get_bootstrap_server())
    elif name == "redis":
        with RedisContainer(image("redis")) as redis:
            yield f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"
    elif name == "clickhouse":
        profile = ROOT / "infra/docker/clickhouse-users.xml"
        server = ClickHouseContainer(image("clickhouse"), port=8123, username="default", password="", dbname="default")
        with server.with_volume_mapping(str(profile), "/etc/clickhouse-server/users.d/millrace.xml") as clickhouse:
            yield f"http://{clickhouse.get_container_host_ip()}:{clickhouse.get_exposed_port(8123)}"
    else:
        with MongoDbContainer(image("mongo")) as mongo:
            yield f"mongodb://{mongo.get_container_host_ip()}:{mongo.get_exposed_port(27017)}"
