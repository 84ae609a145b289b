"""The worker forgets erased users: at once what it holds of them, at the next rebuild what they added to item-CF."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from recommenders.read import read_list
from recommenders.stores import Stores
from recommenders.tenant import TenantSettings, TenantState
from recommenders.worker import RecommendConfig, RecommendWorker
from schemas.clock import system_clock
from schemas.erased import ErasedUsers, Later
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from tests.factories import NOON
from tests.recommenders.factories import make_event, no_mix
from tests.recommenders.test_worker import PATIENCE_S, SEQUENCES, Broker, broker, eventually, plays
from tests.schemas.test_erased import KEY, erased_users, erasure

__all__ = ["broker"]

ANN = (("ann", "a"), ("ann", "x"), ("ann", "y"))


@asynccontextmanager
async def running(
    kafka: KafkaDsn, redis: Redis, group: str, erased: ErasedUsers, rebuild_s: float
) -> AsyncIterator[RecommendWorker]:
    config = RecommendConfig(group=group, discover_s=0.2, commit_s=0.2, erased_s=0.1, rebuild_s=rebuild_s)
    worker = RecommendWorker(config, kafka, redis, no_mix, system_clock, erased)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(worker.run(stop, ready))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
        yield worker
    finally:
        stop.set()
        await task


def sums(stores: Stores) -> dict[tuple[str, str], float]:
    """Every pair's sum, by the items' ids."""
    ids, item_cf = stores.items.ids, stores.item_cf
    return {(ids[a], ids[b]): round(value, 9) for a, row in enumerate(item_cf.rows) for b, value in row.items()}


def sums_without(tenant: str) -> dict[tuple[str, str], float]:
    state = TenantState(tenant, TenantSettings(), no_mix, lambda: NOON)
    for event in plays(tenant, *SEQUENCES):
        state.fold(event)
    return sums(state.stores)


async def similar(redis: Redis, tenant: str, item: str) -> set[bytes]:
    found: list[bytes] = await redis.hkeys(KeySpace(tenant).key("game:sim", item))  # type: ignore[assignment]
    return set(found)


@pytest.mark.stack
async def test_a_running_worker_forgets_at_once_and_rebuilds_without_the_user(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    erased, keys = erased_users(Later.REFUSE), KeySpace(tenant)
    async with running(kafka, redis_client, tenant, erased, rebuild_s=0) as worker:
        await broker.send(*plays(tenant, *SEQUENCES, *ANN))
        await eventually(lambda: similar(redis_client, tenant, "x"))
        await eventually(lambda: read_list(redis_client, keys, "ann", "home"))
        held = worker.tenants[tenant]
        assert sums(held.stores).keys() > sums_without(tenant).keys()
        assert erased.note(erasure(tenant, "ann", KEY, system_clock()))

        async def rebuilt() -> bool:
            return worker.tenants[tenant] is not held

        await eventually(rebuilt)
        await redis_client.delete(keys.key("rec:cache", "ann", "home"), keys.key("rec:meta", "ann", "home"))
        assert sums(worker.tenants[tenant].stores) == sums_without(tenant)
        assert held.histories.get("ann") is None

        async def unlearnt() -> bool:
            left = [await similar(redis_client, tenant, item) for item in ("x", "y", "a")]
            return left == [set(), set(), {b"b", b"c"}]

        await eventually(unlearnt)
        later = plays(tenant, ("ann", "b"), ("new", "a"), start=len(SEQUENCES) + len(ANN))
        await broker.send(*later)
        assert (await eventually(lambda: read_list(redis_client, keys, "new", "home"))).items == ("b", "c")
        assert await read_list(redis_client, keys, "ann", "home") is None
        assert sorted(worker.tenants[tenant].histories.users()) == ["new", *(f"u{n}" for n in range(5))]


@pytest.mark.stack
async def test_events_taken_while_a_state_is_rebuilt_are_in_it_once(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    erased = erased_users(Later.REFUSE)
    stream = [(f"w{n}", item) for n in range(150) for item in ("p", "q", "r")]
    events = plays(tenant, *ANN, *stream)
    async with running(kafka, redis_client, tenant, erased, rebuild_s=0) as worker:
        await broker.send(*events[: len(ANN) + 100])

        async def is_held() -> bool:
            return tenant in worker.tenants and worker.tenants[tenant].histories.get("ann") is not None

        await eventually(is_held)
        held = worker.tenants[tenant]
        assert erased.note(erasure(tenant, "ann", KEY, system_clock()))
        for start in range(len(ANN) + 100, len(events), 50):
            await broker.send(*events[start : start + 50])
        reference = TenantState(tenant, TenantSettings(), no_mix, lambda: NOON)
        for event in plays(tenant, *stream):
            reference.fold(event)

        async def exact() -> bool:
            state = worker.tenants[tenant]
            return state is not held and sums(state.stores) == sums(reference.stores)

        await eventually(exact)
        assert worker.tenants[tenant].histories.users() == reference.histories.users()


@pytest.mark.stack
async def test_a_worker_that_starts_skips_the_user_s_events_and_unlearns_what_was_written(
    kafka: KafkaDsn, redis_client: Redis, tenant: str, broker: Broker
) -> None:
    await broker.create(tenant)
    await broker.send(*plays(tenant, *SEQUENCES, *ANN))
    await redis_client.hset(KeySpace(tenant).key("game:sim", "x"), "y", "0.5")
    erased = erased_users(Later.ACCEPT)
    erased.note(erasure(tenant, "ann", KEY, system_clock()))
    async with running(kafka, redis_client, tenant, erased, rebuild_s=3600) as worker:
        assert sums(worker.tenants[tenant].stores) == sums_without(tenant)

        async def unlearnt() -> bool:
            return not await similar(redis_client, tenant, "x")

        await eventually(unlearnt)
        await broker.send(*plays(tenant, ("ann", "a"), start=len(SEQUENCES) + len(ANN)))
        stored = await eventually(lambda: read_list(redis_client, KeySpace(tenant), "ann", "home"))
        assert stored.items == ("b", "c")  # accepted again, and known by what came since alone


def test_without_erased_users_an_event_is_taken_as_it_is() -> None:
    state = TenantState("acme", TenantSettings(), no_mix, lambda: NOON, erased_users(Later.REFUSE, ("globex", "u1")))
    event = make_event(user_id="u1")
    assert state.admitted(event) is event
