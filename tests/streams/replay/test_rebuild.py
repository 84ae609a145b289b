"""Features rebuilt from the raw topic are those of a plain recomputation, whatever goes on meanwhile."""

import asyncio

import pytest
from redis.asyncio import Redis

from streams.replay import swap
from tests.streams.replay.stage import a_stage, traffic

COUNT = 4_000


async def test_spoilt_features_are_put_right_while_events_flow(kafka: str, redis_client: Redis, tenant: str) -> None:
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        sent = traffic(tenant, COUNT)
        await stage.send(sent[: COUNT // 2])
        await stage.counted()
        await stage.spoil()
        hurry = asyncio.Event()
        sending = asyncio.create_task(stage.send(sent[COUNT // 2 :], per_s=100, hurry=hurry))
        report = await stage.rebuild()
        assert report.swapped
        assert report.scripts == 1
        assert report.difference.only_live >= 2
        assert report.difference.only_shadow >= 10
        assert report.difference.differing >= 10
        assert report.complete_from is None
        assert not sending.done(), "events flowed until the swap"
        hurry.set()
        await sending
        await stage.counted()
        await stage.assert_exact()


async def test_a_swap_in_parts_is_as_exact(
    kafka: str, redis_client: Redis, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "AT_ONCE", 0)
    monkeypatch.setattr(swap, "PART", 50)
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        sent = traffic(tenant, COUNT)
        await stage.send(sent[: COUNT // 2])
        await stage.counted()
        await stage.spoil()
        sending = asyncio.create_task(stage.send(sent[COUNT // 2 :], per_s=500))
        report = await stage.rebuild()
        assert report.scripts > 5
        await sending
        await stage.counted()
        await stage.assert_exact()
