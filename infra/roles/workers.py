"""The roles `worker stream`, `worker analytics` and `worker recommend`."""

import asyncio

import structlog
from clickhouse_connect.driver.asyncclient import AsyncClient as ClickHouse
from clickhouse_connect.driver.exceptions import ClickHouseError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from infra.roles.erasing import open_erased
from infra.roles.features import closing_of, lifetimes_of
from infra.roles.judging import open_judging
from infra.roles.role import Role
from recommenders.tenant import TenantSettings
from recommenders.worker import RecommendConfig, RecommendWorker
from schemas.clock import system_clock
from streams.breaker import BreakerSettings
from streams.config import StreamConfig
from streams.features.sink import RedisFeatureSink
from streams.parking import Parking
from streams.parking_board import RedisBoard
from streams.workers import run_analytics, run_features, run_judge
from tracking_configs.lean_judge import LeanJudge

log = structlog.get_logger()


async def work_stream(role: Role) -> None:
    """Two consumer groups in one process: the judge, and the features, which fail and catch up by themselves."""
    async with open_judging(role) as judging:
        if role.stop.is_set():
            return
        config = stream_config(role)
        sink = RedisFeatureSink(
            role.redis,
            cluster=role.settings.redis_cluster,
            lifetimes=lifetimes_of(role.settings),
            signals=judging.scenario_signals,
            closing=closing_of(role.settings),
        )
        judge_ready, features_ready = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_judge(config, judging.judge, role.stop, judge_ready, parking_of(role, "judge")))
            group.create_task(
                run_features(
                    config, sink, LeanJudge(judging.judge), role.stop, features_ready, parking_of(role, "features")
                )
            )
            group.create_task(_when_all(role, judge_ready, features_ready))


def parking_of(role: Role, agent: str) -> Parking:
    settings = role.settings
    breaker = BreakerSettings(ratio=settings.breaker_ratio, window=settings.breaker_window, run=settings.breaker_run)
    return Parking(agent, breaker, board=RedisBoard(role.redis, cluster=settings.redis_cluster))


async def work_analytics(role: Role) -> None:
    clickhouse = await _patient_clickhouse(role)
    if clickhouse is None:
        return
    try:
        async with open_erased(role) as erased:
            await run_analytics(stream_config(role), clickhouse, role.stop, role.ready, erased)
    finally:
        await clickhouse.close()


def stream_config(role: Role) -> StreamConfig:
    return StreamConfig(
        role.deps.kafka, replication_factor=role.settings.replication, instance_id=role.settings.instance_id
    )


async def work_recommend(role: Role) -> None:
    settings = role.settings
    tenant = TenantSettings(
        pipelines_dir=settings.pipelines_dir,
        redis_cluster=settings.redis_cluster,
        list_ttl_s=settings.lists_hours * 60 * 60,
    )
    async with open_judging(role) as judging:
        if role.stop.is_set():
            return
        config = RecommendConfig(tenant)
        worker = RecommendWorker(config, role.deps.kafka, role.redis, judging.recall_mix, system_clock, judging.erased)
        await worker.run(role.stop, role.ready)


async def _when_all(role: Role, *events: asyncio.Event) -> None:
    await role.until_stopped(asyncio.gather(*(event.wait() for event in events)))
    if not role.stop.is_set():
        role.ready.set()


async def _patient_clickhouse(role: Role) -> ClickHouse | None:
    """A client as soon as the server answers; None when the stop comes first."""
    found: list[ClickHouse] = []

    def say_once(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            log.warning("clickhouse_away", error=repr(state.outcome and state.outcome.exception()))

    async def open_it() -> None:
        retrying = AsyncRetrying(
            wait=wait_exponential(max=5),
            retry=retry_if_exception_type((ClickHouseError, OSError)),
            before_sleep=say_once,
        )
        async for attempt in retrying:
            with attempt:
                found.append(await role.deps.open_clickhouse())

    await role.until_stopped(open_it())
    return found[0] if found else None
