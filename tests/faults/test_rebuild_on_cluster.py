"""Features rebuilt and swapped on a Redis cluster, where a tenant's keys and those of its shadow share a slot."""

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from infra.connections import open_redis
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.topics import raw_topic
from streams.replay.run import Order, Rebuild
from tests.faults.cluster import native_cluster
from tests.faults.scene import MARKS, native_scene, roles_of, signals
from tests.faults.test_redis_cluster import all_counted, assert_exact, send, tenants_of_nodes
from tests.faults.traffic import PARTITIONS, make_sent
from tests.streams.live import make_topic, role
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

pytestmark = [*MARKS, pytest.mark.long]
COUNT = 2_000


async def test_a_tenants_features_are_swapped_on_its_node(tenant: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(native_cluster(tmp_path / "cluster"))
        scene = await stack.enter_async_context(native_scene(tenant, tmp_path))
        client: Any = await stack.enter_async_context(open_redis(cluster.dsn, cluster=True))
        rebuilt, other, _ = tenants_of_nodes(cluster, client, tenant)
        for each in (rebuilt, other):
            await make_topic(scene.kafka_dsn, raw_topic(each), PARTITIONS)
        for run in roles_of(scene.config, client, cluster=True):
            await stack.enter_async_context(role(run))
        now_ms = time.time_ns() // 1_000_000
        await send(scene, {each: make_sent(each, count=COUNT, now_ms=now_ms) for each in (rebuilt, other)})
        for each in (rebuilt, other):
            await all_counted(scene, client, each)
        keys = KeySpace(rebuilt, cluster=True)
        await client.zadd(keys.key("hot:scenario", "vlog_feed"), {"made up": 1e9})
        await client.hset(keys.key("user:session", "nobody"), mapping={"events": 1})

        order = Order(rebuilt)
        judge = Judge(ConfigRegistry())
        report = await Rebuild(client, KafkaDsn.parse(scene.kafka_dsn), judge, signals, order, cluster=True).run()
        assert (report.swapped, report.scripts) == (True, 1)
        assert not await client.exists(keys.key("user:session", "nobody"))
        await assert_exact(scene, cluster, client, rebuilt)
        await assert_exact(scene, cluster, client, other)
