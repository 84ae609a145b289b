"""The three roles of the stream, each until `stop` is set; `ready` is set once its partitions are assigned.

All three may run in one event loop: `millrace worker stream` runs judge and features, `worker analytics` the third.
"""

import asyncio

from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import StreamT

from schemas.erased import ErasedUsers
from schemas.topics import RAW_PREFIX
from streams.app import StreamApp, lanes_app, run_worker
from streams.clickhouse_sink import ClickHouseSink
from streams.config import StreamConfig
from streams.erased_rows import RowsUnlessErased
from streams.features.sink import RedisFeatureSink
from streams.features_agent import FeaturesStep
from streams.gathering import Gatherer
from streams.healing import with_healing
from streams.judge_agent import JudgeStep
from streams.judging import Judging
from streams.lag import with_lag
from streams.migrations import migrate
from streams.parking import Parking
from streams.rows import TOPIC_PREFIXES
from streams.session_sweep import SessionSweep, with_sessions
from streams.session_watch import SessionWatch
from streams.steps import Runner
from streams.summary_shipper import SummaryShipper
from streams.transport.consumer import Consumer


async def run_judge(
    config: StreamConfig, judge: Judging, stop: asyncio.Event, ready: asyncio.Event, parking: Parking | None = None
) -> None:
    """Raw topics to validated and rejected topics."""
    step = JudgeStep(config, judge, parking=parking)
    try:
        await run_worker(lambda: with_lag(lanes_app("judge", RAW_PREFIX, config, step)), stop, ready)
    finally:
        await step.stop()


async def run_features(
    config: StreamConfig,
    sink: RedisFeatureSink,
    judge: Judging,
    stop: asyncio.Event,
    ready: asyncio.Event,
    parking: Parking | None = None,
) -> None:
    """Raw topics to Redis, and sessions that have ended to their topic."""
    watch, shipper = SessionWatch(), SummaryShipper(config)
    step = FeaturesStep(sink, judge, parking=parking, sessions=watch)
    sweep = SessionSweep(sink, shipper, watch, quiet_s=config.quiet_s)

    def make_app() -> StreamApp:
        app = lanes_app("features", RAW_PREFIX, config, step)
        return with_lag(with_sessions(with_healing(app, step), sweep))

    try:
        await run_worker(make_app, stop, ready)
    finally:
        await shipper.stop()


async def run_analytics(
    config: StreamConfig,
    clickhouse: AsyncClient,
    stop: asyncio.Event,
    ready: asyncio.Event,
    erased: ErasedUsers | None = None,
) -> None:
    """Validated and rejected topics and session summaries to ClickHouse, whose tables are made first."""
    rows = RowsUnlessErased(ErasedUsers() if erased is None else erased)
    migrating = asyncio.ensure_future(migrate(clickhouse))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({migrating, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not migrating.done():
        migrating.cancel()
        return
    migrating.result()
    sink = ClickHouseSink(clickhouse)

    def make_gatherer(consumer: Consumer, stream: StreamT) -> Runner:
        return Gatherer("analytics", sink, consumer, stream, rows_of=rows)

    def make_app() -> StreamApp:
        return StreamApp("analytics", TOPIC_PREFIXES, config, sink.where, make_gatherer, bounded=False)

    await run_worker(lambda: with_lag(make_app()), stop, ready)
