"""Asking each server for a sign of life and its version; what a failure means and what to do about it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from redis.asyncio import Redis

from infra.connections import open_clickhouse, open_mongo, open_redis
from infra.dsn import redact
from infra.settings import Settings, variable
from schemas.kafka import KafkaDsn

TIMEOUT_S: Final = 5.0
OLDEST_REDIS: Final = (6, 2)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one server answered. `address` shows no secret; `problem` is empty when all is well."""

    server: str
    address: str
    version: str = ""
    latency_ms: float | None = None
    problem: str = ""
    advice: str = ""

    @property
    def is_up(self) -> bool:
        return not self.problem

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ok": self.is_up}


async def check_servers(settings: Settings) -> list[Finding]:
    """One finding a server, asked at once; none takes longer than `TIMEOUT_S`."""
    return list(await asyncio.gather(*(_check(name, settings, ask) for name, ask in CHECKS.items())))


async def _check(name: str, settings: Settings, ask: Callable[[Settings], Awaitable[tuple[str, float]]]) -> Finding:
    address = redact(getattr(settings, name).get_secret_value())
    try:
        async with asyncio.timeout(TIMEOUT_S):
            version, latency_ms = await ask(settings)
    except Exception as error:  # whatever a client raises: it is what the operator has to hear
        return Finding(name, address, problem=_problem(error), advice=_advice(name, error))
    problem = _too_old(name, version)
    return Finding(name, address, version, latency_ms, problem, "install a newer one" if problem else "")


async def ask_kafka(settings: Settings) -> tuple[str, float]:
    """Kafka does not tell its release; how many brokers there are and what they speak stands for it."""
    client = AIOKafkaClient(request_timeout_ms=int(TIMEOUT_S * 1000), **_kafka(settings).client_options())
    try:
        await client.bootstrap()
        started = time.perf_counter()
        await client.force_metadata_update()
        latency_ms = _since(started)
        brokers = len(client.cluster.brokers())
        return f"{brokers} broker{'s' if brokers != 1 else ''}", latency_ms
    finally:
        await client.close()


async def ask_redis(settings: Settings) -> tuple[str, float]:
    redis = open_redis(settings.redis.get_secret_value(), cluster=settings.redis_cluster)
    try:
        await redis.ping()
        started = time.perf_counter()
        await redis.ping()
        latency_ms = _since(started)
        info = await redis.info("server") if isinstance(redis, Redis) else {"redis_version": "cluster"}
        return str(info["redis_version"]), latency_ms
    finally:
        await redis.aclose()


async def ask_clickhouse(settings: Settings) -> tuple[str, float]:
    client = await open_clickhouse(settings.clickhouse.get_secret_value())
    try:
        started = time.perf_counter()
        answer = await client.query("SELECT version()")
        return str(answer.result_rows[0][0]), _since(started)
    finally:
        await client.close()


async def ask_mongo(settings: Settings) -> tuple[str, float]:
    client = open_mongo(settings.mongo.get_secret_value())
    try:
        version = (await client.admin.command("buildInfo"))["version"]
        started = time.perf_counter()
        await client.admin.command("ping")
        return str(version), _since(started)
    finally:
        await client.close()


CHECKS: Final[Mapping[str, Callable[[Settings], Awaitable[tuple[str, float]]]]] = {
    "kafka": ask_kafka,
    "redis": ask_redis,
    "clickhouse": ask_clickhouse,
    "mongo": ask_mongo,
}


def _kafka(settings: Settings) -> KafkaDsn:
    return KafkaDsn.parse(settings.kafka.get_secret_value())


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _problem(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    lines = redact(str(error)).splitlines()
    return (lines[0][:200] if lines else "") or type(error).__name__


def _advice(name: str, error: Exception) -> str:
    text = str(error).lower()
    if any(word in text for word in ("auth", "password", "wrongpass", "sasl")):
        return f"check the user and the secret in {variable(name)}"
    return f"start it (`millrace up` starts all four), or correct {variable(name)}"


def _too_old(name: str, version: str) -> str:
    if name != "redis" or not version[:1].isdigit():
        return ""
    found = tuple(int(part) for part in version.split(".")[:2])
    return f"Redis {version} is older than {'.'.join(map(str, OLDEST_REDIS))}" if found < OLDEST_REDIS else ""
