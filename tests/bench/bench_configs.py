"""10,000 tracking configs in one process, and how soon a change of one is in force everywhere.

    python -m tests.bench.bench_configs [--configs 10000] [--rate 100] [--seconds 20] [--stack embedded]

Every config is another: own field names, ranges, patterns and enum values, 12 fields, 4.3 KB of JSON. Memory is
resident memory. "another process" is a bare one that follows the change topic, from the start of its interpreter. A
change goes the whole way: `ConfigService.update` reads and writes MongoDB, compares, publishes; it is in force
when that other process has applied it. Both processes are on one machine and read one clock, in ms.
"""

import argparse
import asyncio
import gc
import logging
import random
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import structlog
from aiokafka import AIOKafkaProducer
from pymongo import AsyncMongoClient
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import StackKind
from infra.stack.servers import running_server
from schemas.kafka import KafkaDsn
from schemas.topics import CONFIG_CHANGES
from tests.tracking_configs.factories import make_config, template_config
from tracking_configs.checks import check_config
from tracking_configs.feed import ConfigFeed, ConfigPublisher, ensure_topic
from tracking_configs.model import TrackingConfig, decode_config, draft_of, encode_config
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates

CHANGED: Final = 200  # configs that the changes go round
SETTLE_S: Final = 3.0


def distinct_config(number: int) -> TrackingConfig:
    """A config of 12 fields that shares none of them with any other."""
    dice = random.Random(number)
    fields = [_field(number, place, dice) for place in range(12)]
    action = f"act_{number}"
    for place in (0, 3):
        fields[place] |= {"required": True, "required_for": [action, "play"]}
    return make_config(
        tenant_id=f"t{number % 200}",
        scenario_id=f"s{number}",
        name=f"Scenario {number}",
        actions=[action],
        required_fields=[field for field in fields if field.get("required")],
        optional_fields=[field for field in fields if not field.get("required")],
        dwell={"field": fields[1]["field_name"], "unit": "s"},
        category_fields=[fields[3]["field_name"]],
    )


def _field(number: int, place: int, dice: random.Random) -> dict[str, Any]:
    kinds: list[dict[str, Any]] = [
        {"field_type": "integer", "min_value": 0, "max_value": number + place},
        {"field_type": "number", "min_value": 0, "max_value": 1 + number / 7},
        {"field_type": "string", "pattern": f"^[a-z]{{2,{3 + number % 9}}}-{number}_{place}$"},
        {"field_type": "string", "enum_values": [f"v{number}_{value}" for value in range(6)]},
        {"field_type": "boolean"},
        {"field_type": "array", "item_type": "string", "max_length": 10 + number % 50},
    ]
    name = f"f{number}_{place}_{dice.choice(('price', 'duration', 'score', 'label'))}"
    return {"field_name": name, "description": f"What field {place} of scenario {number} says"} | kinds[place % 6]


def measured(work: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds and MB of resident memory that the work took, and what it made."""
    gc.collect()
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    made = work()
    spent = time.perf_counter() - start
    gc.collect()
    return spent, (psutil.Process().memory_info().rss - before) / 1e6, made


def held(configs: int) -> Table:
    """A registry by itself, and what compiling adds."""
    values = [encode_config(distinct_config(number)) for number in range(configs)]
    same = [encode_config(_unchanged(number)) for number in range(configs)]
    registry, templates = ConfigRegistry(), ConfigRegistry()
    first_ms: list[float] = []

    def take(registry: ConfigRegistry, values: list[bytes]) -> None:
        for value in values:
            config = decode_config(value)
            check_config(draft_of(config))
            registry.apply(config)

    def compile_all(registry: ConfigRegistry) -> None:
        for config in registry.all():
            start = time.perf_counter()
            registry.get(config.tenant_id, config.scenario_id)
            first_ms.append((time.perf_counter() - start) * 1000)

    table = _table(f"{configs:,} configs in one process", "what", "s", "MB")
    rows: list[tuple[str, Callable[[], object]]] = [
        ("take them: decode, check, hold", lambda: take(registry, values)),
        ("compile all, as if each had had an event", lambda: compile_all(registry)),
        ("take as many made from the nine templates, unchanged", lambda: take(templates, same)),
        ("compile all of these", lambda: compile_all(templates)),
    ]
    for name, work in rows:
        spent, grown, _ = measured(work)
        table.add_row(name, f"{spent:.2f}", f"{grown:.0f}")
    cuts = statistics.quantiles(first_ms[:configs], n=100)
    table.caption = f"first event's wait for a compile: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms"
    return table


def _unchanged(number: int) -> TrackingConfig:
    template = list(load_templates())[number % 9]
    return msgspec.structs.replace(template_config(template), tenant_id=f"t{number % 200}", scenario_id=f"u{number}")


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(first, title=title)
    for column in others:
        table.add_column(column, justify="right")
    return table


async def fill(kafka: KafkaDsn, configs: int) -> None:
    await ensure_topic(kafka, 1)
    async with AIOKafkaProducer(**kafka.client_options(), linger_ms=5) as producer:
        for number in range(configs):
            config = distinct_config(number)
            await producer.send(CONFIG_CHANGES, encode_config(config), key=config.key.encode(), partition=0)


class Follower:
    """Another process that follows the topic: says when it is ready, and when it has applied each version."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.applied_ms: dict[tuple[str, int], int] = {}

    async def ready(self) -> None:
        assert self._process.stdout is not None
        if await self._process.stdout.readline() != b"ready\n":
            raise SystemExit("the follower ended before it was ready")

    def memory_mb(self) -> float:
        return psutil.Process(self._process.pid).memory_info().rss / 1e6

    async def listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            key, version, at_ms = line.decode().split(" ")
            self.applied_ms[key, int(version)] = int(at_ms)


@asynccontextmanager
async def follower(kafka: str) -> AsyncIterator[Follower]:
    command = [sys.executable, "-m", "tests.bench.bench_configs", "--follow", kafka]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        yield Follower(process)
    finally:
        process.terminate()
        await process.wait()


class _Reporting(ConfigRegistry):
    def apply(self, config: TrackingConfig) -> bool:
        applied = super().apply(config)
        if applied and config.version > 1:
            print(config.key, config.version, time.time_ns() // 1_000_000, flush=True)  # noqa: T201
        return applied


async def follow(kafka: str) -> None:
    feed = ConfigFeed(_Reporting(), KafkaDsn.parse(kafka))
    await feed.start()
    print("ready", flush=True)  # noqa: T201
    await asyncio.Event().wait()


async def change(service: ConfigService, rate: int, seconds: float) -> dict[tuple[str, int], int]:
    """Changes at a steady rate, one config after the other; ms of each before it was asked for."""
    asked_ms: dict[tuple[str, int], int] = {}

    async def one(number: int) -> None:
        scenario, at_ms = f"changed{number % CHANGED}", time.time_ns() // 1_000_000
        parts = {"description": f"change {number}", "weights": {"play": number % 50}}
        applied = await service.update("acme", scenario, parts)
        asked_ms[applied.config.key, applied.config.version] = at_ms

    start, changes = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        changes.append(asyncio.create_task(one(number)))
    await asyncio.gather(*changes)
    return asked_ms


async def over_kafka(configs: int, rate: int, seconds: float, stack: StackKind) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_server("kafka", stack, Path(folder)) as kafka,
            running_server("mongo", stack, Path(folder)) as mongo,
            AsyncMongoClient[dict[str, Any]](mongo, tz_aware=True) as client,
        ):
            dsn = KafkaDsn.parse(kafka)
            await fill(dsn, configs)
            publisher = ConfigPublisher(dsn)
            store = ConfigStore(client["bench"])
            service = ConfigService(store, ConfigOutbox(store, publisher), load_templates(), ConfigRegistry())
            for number in range(CHANGED):
                await service.from_template("acme", f"changed{number}", "video", "Video")
            start = time.perf_counter()
            async with follower(kafka) as other:
                await other.ready()
                spent, memory = time.perf_counter() - start, other.memory_mb()
                listening = asyncio.create_task(other.listen())
                asked_ms = await change(service, rate, seconds)
                await asyncio.sleep(SETTLE_S)
                listening.cancel()
            await publisher.stop()
    started = _table(f"A process that begins with {configs + CHANGED:,} configs on the topic", "what", "figure")
    started.add_row("from its start to ready, imports included", f"{spent:.2f} s")
    started.add_row("its memory then", f"{memory:.0f} MB")
    return [started, _in_force(asked_ms, other.applied_ms, rate, stack)]


def _in_force(asked: dict[tuple[str, int], int], applied: dict[tuple[str, int], int], rate: int, stack: str) -> Table:
    ages = [applied[version] - at_ms for version, at_ms in asked.items() if version in applied]
    cuts = statistics.quantiles(ages, n=100)
    columns = ("changes", "missed", "p50 ms", "p99 ms", "max ms")
    table = _table(f"Change asked for to in force in another process, {rate} changes/s, {stack} stack", *columns)
    figures = (len(asked), len(asked) - len(ages), cuts[49], cuts[98], max(ages))
    table.add_row(*(f"{figure:.0f}" for figure in figures))
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=100, help="changes a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--stack", choices=("embedded", "native"), default="embedded")
    parser.add_argument("--follow", metavar="KAFKA", help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.follow:
        asyncio.run(follow(options.follow))
        return
    tables = asyncio.run(over_kafka(options.configs, options.rate, options.seconds, options.stack))
    for table in (held(options.configs), *tables):
        Console().print(table)


if __name__ == "__main__":
    main()
