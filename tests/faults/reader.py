"""A worker behind the judge to be killed: `analytics`, as `worker analytics` runs it, or `recommend`. Not a test."""

import asyncio
import sys

from infra.connections import open_clickhouse, open_redis
from recommenders.worker import RecommendConfig, RecommendWorker
from schemas.clock import system_clock
from streams.config import StreamConfig
from streams.workers import run_analytics
from tests.recommenders.factories import no_mix
from tests.streams.live import make_config


async def analytics(config: StreamConfig, dsn: str) -> None:
    clickhouse = await open_clickhouse(dsn)
    await run_analytics(config, clickhouse, asyncio.Event(), asyncio.Event())


async def recommend(config: StreamConfig, dsn: str) -> None:
    settings = RecommendConfig(group=config.group("recommend"), discover_s=0.2, commit_s=0.2)
    async with open_redis(dsn) as redis:
        worker = RecommendWorker(settings, config.kafka, redis, no_mix, system_clock)  # type: ignore[arg-type]  # no cluster
        await worker.run(asyncio.Event(), asyncio.Event())


READERS = {"analytics": analytics, "recommend": recommend}


async def main(kind: str, kafka: str, dsn: str, group_prefix: str) -> None:
    await READERS[kind](make_config(kafka, group_prefix=group_prefix, instance_id="first"), dsn)


asyncio.run(main(*sys.argv[1:]))
