"""Three Redis processes as one cluster: tenants lie on different nodes, and a node that dies stops its own only."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from infra.connections import open_redis
from schemas.topics import raw_topic
from tests.e2e.recompute import judge_all
from tests.faults.cluster import NODES, Cluster, native_cluster
from tests.faults.scene import (
    MARKS,
    Scene,
    assert_held,
    eventually,
    fences_in,
    kill,
    native_scene,
    read_all,
    roles_of,
)
from tests.faults.traffic import PARTITIONS, Clients, Sent, make_sent
from tests.streams.features.redis_content import held_in
from tests.streams.live import make_topic, role
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

pytestmark = [*MARKS, pytest.mark.long]
COUNT = 3_000


async def test_tenants_on_three_nodes_are_exact_and_a_node_that_dies_stops_its_own_only(
    tenant: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(native_cluster(tmp_path / "cluster"))
        scene = await stack.enter_async_context(native_scene(tenant, tmp_path))
        client: Any = await stack.enter_async_context(open_redis(cluster.dsn, cluster=True))
        tenants = tenants_of_nodes(cluster, client, tenant)
        for each in tenants:
            await make_topic(scene.kafka_dsn, raw_topic(each), PARTITIONS)
        for run in roles_of(scene.config, client, cluster=True):
            await stack.enter_async_context(role(run))

        now_ms = time.time_ns() // 1_000_000
        traffic = {each: make_sent(each, count=COUNT, now_ms=now_ms) for each in tenants}
        await send(scene, {each: sent[: COUNT // 2] for each, sent in traffic.items()})
        for each in tenants:
            await all_counted(scene, client, each)
        *others, stopped = tenants
        await kill(cluster.nodes[-1])
        await send(scene, {each: sent[COUNT // 2 :] for each, sent in traffic.items()})
        for each in others:
            await all_counted(scene, client, each)
        await cluster.nodes[-1].start()
        await cluster.nodes[-1].wait_ready()
        await all_counted(scene, client, stopped)
        for each in tenants:
            await assert_exact(scene, cluster, client, each)


def tenants_of_nodes(cluster: Cluster, client: Any, name: str) -> list[str]:
    """One for each node, in their order."""
    found: dict[int, str] = {}
    for number in range(100):
        found.setdefault(cluster.node_of(client, f"{name}-{number}"), f"{name}-{number}")
    return [found[node] for node in range(NODES)]


async def send(scene: Scene, traffic: Mapping[str, Sequence[Sent]]) -> None:
    for tenant, sent in traffic.items():
        async with Clients(scene.kafka_dsn, tenant) as clients:
            await clients.send(sent)


async def ends_of(scene: Scene, tenant: str) -> dict[int, int]:
    return {record.partition: record.offset for record in await read_all(scene.kafka_dsn, raw_topic(tenant))}


async def all_counted(scene: Scene, client: Any, tenant: str) -> None:
    last = await ends_of(scene, tenant)
    assert await eventually(lambda: fences_in(client, tenant, cluster=True), lambda found: found == last) == last


async def assert_exact(scene: Scene, cluster: Cluster, client: Any, tenant: str) -> None:
    expected = judge_all(await read_all(scene.kafka_dsn, raw_topic(tenant)), tenant, Judge(ConfigRegistry()))
    async with Redis.from_url(scene.redis_dsn) as plain:
        await cluster.copy(client, tenant, plain)
        assert_held(await held_in(plain, tenant), expected)
