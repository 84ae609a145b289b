"""The ClickHouse sink, measured: rows a second into user_behaviors, by way of making the rows.

    python -m tests.bench.bench_clickhouse [--rows 400000] [--runs 3] [--server-core N]

Events are judged bodies of about 400 bytes, in batches of 2,000 records of 4 partitions, gathered as in production:
25,000 rows an insert or more, two inserts at once, then the fence. Ways:

- engine: files made beforehand, nothing but the HTTP requests: what the engine can take.
- sink: validated Avro, as it lies in Kafka, handed to the engine; from batches in memory.
- reference: the same batches decoded to events and turned into columns in Python.
- worker: `run_analytics` from Kafka, until the last row is in its table.

CPU is that of the writing process, threads included (of the worker: Faust's and aiokafka's too), and that of the
engine's, merges and its HTTP front included. The worker is measured from when it has its partitions. Runs alternate,
the median counts; a run after which the table does not hold every event once is an error. The servers may be pinned to
a core; this process is then best started with `taskset` on another.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lz4.frame
import psutil
import uvloop
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import TP
from rich.console import Console
from rich.table import Table

from infra.connections import open_clickhouse
from infra.stack.servers import running_server
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic, validated_topic
from streams.clickhouse_sink import ClickHouseSink
from streams.config import StreamConfig
from streams.gathering import INSERTS_AT_ONCE, Gatherer
from streams.judging import judgement
from streams.migrations import migrate
from streams.rows import EVENT_COLUMNS, USER_BEHAVIORS, VALIDATED_FILES, Rows, decoded_events
from streams.transport import Batch
from streams.workers import run_analytics
from tests.bench.bench_stream import make_bodies, make_judge
from tests.streams.fakes import FakeConsumer, FakeRecord, FakeStream, batch_of, event_of
from tests.streams.live import make_topic

TENANT, PARTITIONS, BATCH_RECORDS, INSERT_ROWS = "bench", 4, 2_000, 25_000
Work = Callable[[], Awaitable[None]]


class Spent(NamedTuple):
    """Seconds of one run."""

    wall: float
    cpu: float
    engine_cpu: float


@dataclass
class Watch:
    """Reads the clocks of this process and the engine's."""

    engine: psutil.Process
    began: tuple[float, float, float] = (0, 0, 0)

    def read(self) -> tuple[float, float, float]:
        engine = self.engine.cpu_times()
        return time.perf_counter(), time.process_time(), engine.user + engine.system

    def start(self) -> None:
        self.began = self.read()

    def spent(self) -> Spent:
        return Spent(*(now - then for now, then in zip(self.read(), self.began, strict=True)))


def make_batches(rows: int) -> list[Batch]:
    """Validated records as the judge writes them, partition after partition in turn."""
    judge = make_judge(TENANT)
    bodies = make_bodies("bursty", TENANT, rows)
    offsets, now = [0] * PARTITIONS, time.time_ns() // 1_000_000
    batches = []
    for first in range(0, rows, BATCH_RECORDS):
        partition = first // BATCH_RECORDS % PARTITIONS
        part = bodies[first : first + BATCH_RECORDS]
        raw = [
            FakeRecord(offsets[partition] + n, body, raw_topic(TENANT), partition, timestamp=now)
            for n, (_, body) in enumerate(part)
        ]
        validated = judgement(batch_of(*raw), judge).validated
        records = [
            FakeRecord(offsets[partition] + n, outgoing.value, validated_topic(TENANT), partition)
            for n, outgoing in enumerate(validated)
        ]
        offsets[partition] += len(part)
        batches.append(Batch(TP(validated_topic(TENANT), partition), records, 1, 1))
    return batches


def groups_of(batches: list[Batch]) -> list[list[Batch]]:
    at_once = INSERT_ROWS // BATCH_RECORDS
    return [batches[first : first + at_once] for first in range(0, len(batches), at_once)]


def engine_alone(client: AsyncClient, batches: list[Batch]) -> Work:
    """The requests, of files that are ready."""
    files = [
        lz4.frame.compress(VALIDATED_FILES.file_of(record.value or b"" for batch in group for record in batch.records))
        for group in groups_of(batches)
    ]
    slots = asyncio.Semaphore(INSERTS_AT_ONCE)

    async def send(file: bytes) -> None:
        async with slots:
            await client.raw_insert(USER_BEHAVIORS, tuple(EVENT_COLUMNS), file, fmt="Avro", compression="lz4")

    async def work() -> None:
        await asyncio.gather(*map(send, files))

    return work


def sink_alone(client: AsyncClient, batches: list[Batch]) -> Work:
    """The gatherer and the sink, of batches in memory."""

    async def work() -> None:
        stream = FakeStream()
        gatherer = Gatherer("bench", ClickHouseSink(client), FakeConsumer(), stream)  # type: ignore[arg-type]
        for batch in batches:
            await gatherer.submit(event_of(batch))
        await gatherer.drain(600)
        assert len(stream.acked) == len(batches)

    return work


def reference(client: AsyncClient, batches: list[Batch]) -> Work:
    """Every record an event, every event a row of each column, in Python."""
    sink, slots = ClickHouseSink(client), asyncio.Semaphore(INSERTS_AT_ONCE)

    async def insert(group: list[Batch]) -> None:
        async with slots:
            await sink.insert(group, [Rows(TENANT, events=decoded_events(batch.records)[0]) for batch in group])
            await sink.move_fences(group)

    async def work() -> None:
        await asyncio.gather(*map(insert, groups_of(batches)))

    return work


def worker(kafka: str, client: AsyncClient, batches: list[Batch], watch: Watch) -> Work:
    """The role of production, until its fences stand behind the last event."""
    total = sum(len(batch.records) for batch in batches)
    config = StreamConfig(KafkaDsn.parse(kafka), group_prefix=f"bench-{time.time_ns()}-")

    async def done() -> bool:
        return int((await client.query("SELECT sum(next_offset) FROM fences")).result_rows[0][0]) >= total

    async def work() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(run_analytics(config, client, stop, ready))
        await ready.wait()
        watch.start()
        while not await done():
            await asyncio.sleep(0.05)
        stop.set()
        await running

    return work


async def fill(kafka: str, batches: list[Batch]) -> None:
    await make_topic(kafka, validated_topic(TENANT), PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    for batch in batches:
        for record in batch.records:
            await producer.send(batch.topic, record.value, partition=batch.partition)
    await producer.stop()


async def measure(client: AsyncClient, batches: list[Batch], work: Work, watch: Watch) -> Spent:
    """One run into empty tables."""
    for table in (USER_BEHAVIORS, "user_days", "fences"):
        await client.command(f"TRUNCATE TABLE {table}")
    watch.start()
    await work()
    spent = watch.spent()
    total = sum(len(batch.records) for batch in batches)
    query = f"SELECT count(), uniqExact(event_id) FROM {USER_BEHAVIORS} SETTINGS final = 0"
    ((stored, once),) = (await client.query(query)).result_rows
    if (stored, once) != (total, total):
        raise RuntimeError(f"{total} events were sent, the table holds {stored} rows of {once}")
    return spent


async def compare(rows: int, runs: int, server_core: int | None) -> Table:
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        kafka = await servers.enter_async_context(running_server("kafka", "embedded", folder))
        dsn = await servers.enter_async_context(running_server("clickhouse", "embedded", folder))
        processes = psutil.Process().children(recursive=True)
        if server_core is not None:
            for thread in (thread for process in processes for thread in process.threads()):
                os.sched_setaffinity(thread.id, {server_core})
        watch = Watch(next(process for process in processes if "clickhouse" in " ".join(process.cmdline())))
        client = await open_clickhouse(dsn)
        await migrate(client)
        batches = make_batches(rows)
        await fill(kafka, batches)
        await reference(client, batches[:1])()  # what is imported and connected only once
        ways: dict[str, Callable[[], Work]] = {
            "engine alone, files ready": lambda: engine_alone(client, batches),
            "sink, from memory": lambda: sink_alone(client, batches),
            "reference, decoded in Python": lambda: reference(client, batches),
            "worker, from Kafka": lambda: worker(kafka, client, batches, watch),
        }
        results: dict[str, list[Spent]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, prepare in ways.items():
                results[name].append(await measure(client, batches, prepare(), watch))
        await client.close()
        return table_of(sum(len(batch.records) for batch in batches), results)


def table_of(rows: int, results: dict[str, list[Spent]]) -> Table:
    table = Table(title=f"{rows:,} rows into user_behaviors")
    for column in ("way", "rows/s", "rows per CPU-s of the writer", "of the engine"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, spent in results.items():
        table.add_row(name, *(f"{rows / statistics.median(seconds):,.0f}" for seconds in zip(*spent, strict=True)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server-core", type=int)
    options = parser.parse_args()
    Console().print(uvloop.run(compare(options.rows, options.runs, options.server_core)))


if __name__ == "__main__":
    main()
