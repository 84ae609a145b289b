"""Doors for tests: a publisher that only remembers, and the doors around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import httpx
from pymongo import AsyncMongoClient
from recommender.v1 import behavior_pb2_grpc
from redis.asyncio import Redis

from ingest_api.deps import DoorDeps, DoorSettings, HttpDeps
from ingest_api.errors import BrokerUnavailable, TenantUnknown
from ingest_api.grpc_door.server import create_server
from ingest_api.http.app import create_app
from tests.factories import NOON
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry


class Published(NamedTuple):
    tenant: str
    user_id: str
    value: bytes
    source: str


class FakePublisher:
    """Takes every event; while `down`, none. `closed`: tenants that do not exist."""

    def __init__(self, *, down: bool = False, closed: frozenset[str] = frozenset()) -> None:
        self.down = down
        self.closed = closed
        self.published: list[Published] = []

    async def publish(
        self, tenant: str, user_id: str, value: bytes, source: str, traceparent: str | None = None
    ) -> None:
        await self.check(tenant)
        if self.down:
            raise BrokerUnavailable(2, "Kafka does not answer")
        self.published.append(Published(tenant, user_id, value, source))

    async def check(self, tenant: str) -> None:
        if tenant in self.closed:
            raise TenantUnknown(tenant, "does not exist")

    def knows(self, tenant: str) -> bool:
        return tenant not in self.closed

    async def is_available(self) -> bool:
        return not self.down


def make_door_deps(publisher: FakePublisher | None = None, **settings: Any) -> DoorDeps:
    return DoorDeps(
        judge=Judge(ConfigRegistry()),
        publisher=publisher or FakePublisher(),
        clock=lambda: NOON,
        settings=DoorSettings(**settings),
    )


@asynccontextmanager
async def http_door(
    publisher: FakePublisher | None = None, *, parts: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP door in process. `parts` replaces connections that otherwise lead nowhere."""
    redis = Redis(host="127.0.0.1", port=1)
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    deps = make_door_deps(publisher, **settings)
    given: dict[str, Any] = {
        "config_service": None,
        "config_insights": None,
        "redis": redis,
        "mongo": mongo["millrace"],
    }
    app = create_app(HttpDeps(**vars(deps) | given | (parts or {})))
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            yield client
    finally:
        await redis.aclose()
        await mongo.close()


@asynccontextmanager
async def grpc_door(
    publisher: FakePublisher | None = None, **settings: Any
) -> AsyncIterator["behavior_pb2_grpc.BehaviorServiceAsyncStub"]:
    """The gRPC door on a free port, and a client of it."""
    async with grpc_channel(make_door_deps(publisher, **settings)) as channel:
        yield behavior_pb2_grpc.BehaviorServiceStub(channel)


@asynccontextmanager
async def grpc_channel(deps: DoorDeps) -> AsyncIterator[grpc.aio.Channel]:
    door, port = await create_server(deps, 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await door.stop()
