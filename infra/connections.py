"""Connections to the four servers, opened once a process and passed down as one frozen bundle."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient as ClickHouse
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from infra.settings import Settings
from schemas.kafka import KafkaDsn

DATABASE: Final = "millrace"
CONNECT_TIMEOUT_S: Final = 3.0
ANSWER_TIMEOUT_S: Final = 10.0
MONGO_ANSWER_TIMEOUT_S: Final = 5.0  # only look-ups and small writes go there, and somebody waits for each
RETRIES: Final = 3  # of one Redis command; who must not lose work waits and retries above this


@dataclass(frozen=True, slots=True)
class Deps:
    """What the rooms are built from. Redis answers bytes; `clickhouse_dsn` is opened by who needs it."""

    settings: Settings
    kafka: KafkaDsn
    redis: Redis | RedisCluster
    mongo: AsyncDatabase[dict[str, Any]]
    clickhouse_dsn: str

    async def open_clickhouse(self) -> ClickHouse:
        """A new ClickHouse client, which the caller closes. Raises when the server is away: opening asks it."""
        return await open_clickhouse(self.clickhouse_dsn)


@asynccontextmanager
async def open_deps(settings: Settings) -> AsyncIterator[Deps]:
    """The bundle; no server need be up yet, since Redis and MongoDB connect at the first command."""
    async with AsyncExitStack() as stack:
        redis = open_redis(settings.redis.get_secret_value(), cluster=settings.redis_cluster)
        stack.push_async_callback(redis.aclose)
        mongo = open_mongo(settings.mongo.get_secret_value())
        stack.push_async_callback(mongo.close)
        yield Deps(
            settings=settings,
            kafka=KafkaDsn.parse(settings.kafka.get_secret_value()),
            redis=redis,
            mongo=mongo[DATABASE],
            clickhouse_dsn=settings.clickhouse.get_secret_value(),
        )


def open_redis(dsn: str, *, cluster: bool = False) -> Redis | RedisCluster:
    """A Redis client with timeouts, which tries a command again when the connection broke."""
    options: dict[str, Any] = {
        "decode_responses": False,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
        "health_check_interval": 30,
    }
    if cluster:
        return RedisCluster.from_url(dsn, **options)
    return Redis.from_url(
        dsn,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), RETRIES),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        **options,
    )


def open_mongo(dsn: str) -> AsyncMongoClient[dict[str, Any]]:
    """A MongoDB client; times are aware and UTC."""
    return AsyncMongoClient(
        dsn,
        tz_aware=True,
        appname="millrace",
        connectTimeoutMS=int(CONNECT_TIMEOUT_S * 1000),
        serverSelectionTimeoutMS=int(CONNECT_TIMEOUT_S * 1000),
        socketTimeoutMS=int(MONGO_ANSWER_TIMEOUT_S * 1000),
    )


async def open_clickhouse(dsn: str) -> ClickHouse:
    """A ClickHouse client; `http://user:secret@host:8123/database`, https for TLS."""
    url = urlsplit(dsn)
    secure = url.scheme in {"https", "clickhouses"}
    return await clickhouse_connect.get_async_client(
        host=url.hostname or "localhost",
        port=url.port or (8443 if secure else 8123),
        username=unquote(url.username or "default"),
        password=unquote(url.password or ""),
        database=url.path.strip("/") or "default",
        secure=secure,
        connect_timeout=int(CONNECT_TIMEOUT_S),
        send_receive_timeout=60,
        autogenerate_session_id=False,  # one client serves many coroutines, and a session admits one query at a time
        client_name="millrace",
    )
