"""How long a preview takes: reading the last N events of a scenario, and judging them by two configs.

    python -m tests.bench.bench_preview [--rows 1000000] [--last 10000] [--runs 5]

ClickHouse holds accepted events of 20 scenarios, evenly over a week, so that those of the last day are too few and the
whole scenario is looked through after them; the rejected topic holds 1,000 dead letters, in 4 partitions, of the same
scenarios and week. Of another tenant there are dead letters alone, N of them. Embedded servers.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from rich.console import Console
from rich.table import Table

from infra.connections import open_clickhouse
from infra.stack.servers import running_server
from ingest_api.event_store import EventStore
from ingest_api.past_events import DAY_MS, past_events
from schemas.clock import system_clock
from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic, rejected_topic
from schemas.verdict import Code, Issue
from streams.migrations import migrate
from tests.streams.live import make_topic, producer_client
from tests.tracking_configs.factories import encode, template_config
from tracking_configs.model import TrackingConfig
from tracking_configs.preview import Preview, preview

TENANT, REJECTED_TENANT, SCENARIO = "bench", "bench-rejected", "s1"
SCENARIOS, LETTERS, PARTITIONS, BLOCK = 20, 1000, 4, 100_000
SPAN_MS: Final = 7 * DAY_MS
FILL: Final = """
    INSERT INTO user_behaviors (
        event_id, tenant_id, scenario_id, scenario_type, user_id, item_id, action_type, timestamp, received_at,
        device_type, context, source, config_version, scenario_data, weight, dwell_ms, kafka_partition, kafka_offset
    )
    SELECT concat('evt_', lower(hex(sipHash64(number)))), {tenant:String},
        concat('s', toString(number % {scenarios:UInt32})), 'video', concat('u', toString(number % 4001)),
        concat('i', toString(number % 997)), 'play_end',
        fromUnixTimestamp64Milli(toInt64({start:Int64} + number * {every:Float64})) AS at, at,
        'mobile', '{"device_type":"mobile","os":"ios","scene":"home","location":"Berlin"}', 'http', 1,
        concat(
            '{"video_data":{"duration":', toString(30 + number % 90), ',"watch_duration":', toString(number % 30),
            ',"completion_rate":0.', toString(number % 10),
            ',"video_quality":"1080p","is_fullscreen":true,"playback_speed":1.25,"seek_positions":[3,14,15]}}'
        ), 1, 0, 0, number
    FROM numbers({first:UInt64}, {count:UInt64})
"""
WARNING: Final[dict[str, Any]] = {  # each event lacks a field, has one that is not declared, and one out of range
    "chapter": {"field_type": "string", "required": True},
    "playback_speed": None,
    "duration": {"max_value": 5},
}


class Case(NamedTuple):
    """What is measured: a candidate against the config in force."""

    name: str
    tenant: str
    now: TrackingConfig
    then: TrackingConfig


class Run(NamedTuple):
    read_s: float
    judge_s: float
    found: Preview


def cases() -> Iterator[Case]:
    clean, warning = config(), config(fields=WARNING)
    yield Case("every one clean", TENANT, clean, clean)
    yield Case("every one warned", TENANT, clean, warning)
    yield Case("every one warned now, too", TENANT, warning, warning)
    strict = config(REJECTED_TENANT, fields=WARNING, enforcement="reject")
    yield Case("every one rejected, dead letters alone", REJECTED_TENANT, strict, strict)


def config(tenant: str = TENANT, **overrides: Any) -> TrackingConfig:
    return msgspec.structs.replace(template_config("video", SCENARIO, **overrides), tenant_id=tenant)


async def fill_clickhouse(client: AsyncClient, rows: int) -> None:
    await migrate(client)
    fixed = {"tenant": TENANT, "scenarios": SCENARIOS, "start": system_clock() - SPAN_MS, "every": SPAN_MS / rows}
    for first in range(0, rows, BLOCK):
        await client.command(FILL, parameters={**fixed, "first": first, "count": min(BLOCK, rows - first)})


async def fill_kafka(kafka: str, tenant: str, scenarios: int, count: int) -> None:
    """Dead letters that came in evenly over the span, round the scenarios s1, s2, ... and the partitions."""
    topic, start = rejected_topic(tenant), system_clock() - SPAN_MS
    await make_topic(kafka, topic, PARTITIONS)
    async with producer_client(kafka) as producer:
        for number in range(count):
            arrived = start + number * SPAN_MS // count
            value = letter(tenant, f"s{1 + number % scenarios}", number, arrived)
            place = {"partition": number // scenarios % PARTITIONS, "timestamp_ms": arrived}
            await producer.send(topic, value, **place)
        await producer.flush()


def letter(tenant: str, scenario: str, number: int, arrived: int) -> bytes:
    body: dict[str, Any] = {"event_id": f"evt_{number:016x}", "tenant_id": tenant, "scenario_id": scenario}
    body |= {"user_id": "u1", "item_id": "i1", "action_type": "play_end", "timestamp": arrived}
    payload = {"duration": 30, "watch_duration": 7, "completion_rate": 0.25, "playback_speed": 1.25}
    body |= {"context": {"device_type": "mobile"}, "scenario_data": {"video_data": payload}}
    errors = (Issue("scenario_data.video_data.chapter", Code.MISSING, "required string is missing"),)
    place: dict[str, Any] = {"topic": raw_topic(tenant), "partition": 0, "offset": number, "timestamp": arrived}
    return encode_dead_letter(dead_letter(encode(body), errors, **place))


async def run(case: Case, events: EventStore, kafka: KafkaDsn, last: int) -> Run:
    started = time.perf_counter()
    past = await past_events(events, kafka, case.tenant, SCENARIO, last)
    read = time.perf_counter()
    found = await asyncio.to_thread(preview, past, case.now, case.then)
    return Run(read - started, time.perf_counter() - read, found)


async def measure(rows: int, last: int, runs: int) -> dict[str, list[Run]]:
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        kafka = await servers.enter_async_context(running_server("kafka", "embedded", folder))
        clickhouse = await servers.enter_async_context(running_server("clickhouse", "embedded", folder))
        events = EventStore(lambda: open_clickhouse(clickhouse))
        servers.push_async_callback(events.close)
        client = await open_clickhouse(clickhouse)
        await fill_clickhouse(client, rows)
        await client.close()
        await fill_kafka(kafka, TENANT, SCENARIOS, LETTERS)
        await fill_kafka(kafka, REJECTED_TENANT, 1, last)
        dsn = KafkaDsn.parse(kafka)
        return {case.name: [await run(case, events, dsn, last) for _ in range(runs)] for case in cases()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000, help="accepted events in ClickHouse")
    parser.add_argument("--last", type=int, default=10_000, help="events that are judged")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    results = asyncio.run(measure(options.rows, options.last, options.runs))
    table = Table(title=f"preview on {options.last:,} of {options.rows:,} events, ms, median of {options.runs}")
    for column in ("under the candidate", "pass", "warn", "reject", "read", "judge", "all", "worst"):
        table.add_column(column, justify="left" if column == "under the candidate" else "right")
    for name, of in results.items():
        then = of[0].found.then
        totals = [each.read_s + each.judge_s for each in of]
        medians = [statistics.median(figures) for figures in zip(*(each[:2] for each in of), strict=True)]
        seconds = [*medians, statistics.median(totals), max(totals)]
        counts = [str(count) for count in (then.passed, then.warned, then.rejected)]
        table.add_row(name, *counts, *(f"{each * 1000:.0f}" for each in seconds))
    Console().print(table)


if __name__ == "__main__":
    main()
