"""10,000 tracking configs in one process, and how soon a change of one is in force everywhere.

    python -m tests.bench.bench_configs [--configs 10000] [--rate 100] [--seconds 20] [--stack embedded]

Every config is another: own field names, ranges, patterns and enum values, 12 fields, 4.3 KB of JSON. Memory is
resident memory. The process that begins is a bare one that follows the change topic, timed from the start of its
interpreter. A change is in force when that other process has applied it; both are on one machine and read one clock,
in ms. `ConfigService.update` goes the whole way: it reads MongoDB, compares, stores and publishes.
"""

import argparse
import asyncio
import gc
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import structlog
from aiokafka import AIOKafkaProducer
from pymongo import AsyncMongoClient
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS, StackKind
from infra.stack.servers import running_server
from schemas.kafka import KafkaDsn
from schemas.topics import CONFIG_CHANGES
from tests.bench.follower import Version, follower
from tests.tracking_configs.factories import make_config, template_config
from tracking_configs.checks import check_config
from tracking_configs.feed import ConfigPublisher, ensure_topic
from tracking_configs.model import TrackingConfig, decode_config, draft_of, encode_config
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates

CHANGED: Final = 500  # configs that the changes go round
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

    table = table_of(f"{configs:,} configs in one process", "what", "s", "MB")
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


def table_of(title: str, first: str, *others: str) -> Table:
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


async def changes(change: Callable[[int], Awaitable[TrackingConfig]], rate: int, seconds: float) -> dict[Version, int]:
    """Changes at a steady rate; ms at which each was asked for."""
    asked_ms: dict[Version, int] = {}

    async def one(number: int) -> None:
        at_ms = time.time_ns() // 1_000_000
        config = await change(number)
        asked_ms[config.key, config.version] = at_ms

    start, running = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        running.append(asyncio.create_task(one(number)))
    await asyncio.gather(*running)
    await asyncio.sleep(SETTLE_S)
    return asked_ms


async def over_kafka(configs: int, rate: int, seconds: float, stack: StackKind) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_server("kafka", stack, Path(folder)) as kafka,
            running_server("mongo", stack, Path(folder)) as mongo,
            AsyncMongoClient[dict[str, Any]](mongo, tz_aware=True) as client,
        ):
            publisher = ConfigPublisher(KafkaDsn.parse(kafka))
            store = ConfigStore(client["bench"])
            service = ConfigService(store, ConfigOutbox(store, publisher), load_templates(), ConfigRegistry())
            await fill(KafkaDsn.parse(kafka), configs)
            for number in range(CHANGED):
                await service.from_template("acme", f"changed{number}", "video", "Video")

            async def publish(number: int) -> TrackingConfig:
                config = msgspec.structs.replace(
                    template_config("video", f"published{number % CHANGED}"), version=number + 2
                )
                await publisher.publish(config)
                return config

            async def update(number: int) -> TrackingConfig:
                parts = {"description": f"change {number}", "weights": {"play": number % 50}}
                return (await service.update("acme", f"changed{number % CHANGED}", parts)).config

            start = time.perf_counter()
            async with follower(kafka) as other:
                await other.ready()
                spent, memory = time.perf_counter() - start, other.memory_mb()
                listening = asyncio.create_task(other.listen())
                asked = {
                    "ConfigPublisher.publish, Kafka alone": await changes(publish, rate, seconds),
                    "ConfigService.update, MongoDB and Kafka": await changes(update, rate, seconds),
                }
                listening.cancel()
            await publisher.stop()
    started = table_of(f"A process that begins with {configs + CHANGED:,} configs on the topic", "what", "figure")
    started.add_row("from its start to ready, imports included", f"{spent:.2f} s")
    started.add_row("its memory then", f"{memory:.0f} MB")
    return [started, in_force(asked, other.applied_ms, f"{rate} changes/s, {stack} stack")]


def in_force(asked: Mapping[str, Mapping[Version, int]], applied: Mapping[Version, int], how: str) -> Table:
    columns = ("by", "changes", "missed", "p50 ms", "p99 ms", "max ms")
    table = table_of(f"From asking for a change to its being in force in another process, {how}", *columns)
    for name, asked_ms in asked.items():
        ages = [applied[version] - at_ms for version, at_ms in asked_ms.items() if version in applied]
        cuts = statistics.quantiles(ages, n=100)
        figures = (len(asked_ms), len(asked_ms) - len(ages), cuts[49], cuts[98], max(ages))
        table.add_row(name, *(f"{figure:.0f}" for figure in figures))
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=100, help="changes a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    tables = asyncio.run(over_kafka(options.configs, options.rate, options.seconds, options.stack))
    for table in (held(options.configs), *tables):
        Console().print(table)


if __name__ == "__main__":
    main()
