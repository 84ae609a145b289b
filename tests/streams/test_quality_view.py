"""The views of data quality on the real engine, against a plain recomputation of what the real judge said."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import TP

from schemas.ddl import migrations
from schemas.event import Event
from schemas.topics import raw_topic, rejected_topic, validated_topic
from schemas.verdict import Rejected
from streams.clickhouse_sink import ClickHouseSink
from streams.judging import Judgement, Judging, judge_records, judgement
from streams.migrations import migrate
from streams.rows import EVENT_COLUMNS, event_columns, rows_of
from streams.transport import Batch, Record
from tests.factories import NOON, make_body, make_event
from tests.streams.fakes import FakeRecord, batch_of
from tests.tracking_configs.factories import make_field, make_registry, template_config
from tracking_configs.judge import Judge

HOUR_MS = 3_600_000
TENANT = "acme"
FIELDS = "SELECT field, events, pass, warn, reject FROM data_quality WHERE tenant_id = {tenant:String} AND field != ''"

Group = tuple[str, int, int]  # scenario, version, hour in ms
Row = tuple[str, int, int, int, int]  # field, events, pass, warn, reject


def judges() -> tuple[Judge, Judge]:
    """The second came when `feed` had a second version, whose title must be there."""
    strict = template_config("video", "strict", enforcement="reject")
    first = template_config("video", "feed")
    title = make_field("title", "string", required=True)
    second = msgspec.structs.replace(first, version=2, required_fields=(*first.required_fields, title))
    return Judge(make_registry(first, strict)), Judge(make_registry(second, strict))


def make_values(count: int, seed: int) -> Iterator[bytes | None]:
    """Raw values, good and bad in every way that a field can be; a fifth are resends of an earlier event_id."""
    chance = random.Random(seed)
    for number in range(count):
        if chance.random() < 0.04:
            yield chance.choice([None, b"{", b"[]", b'{"scenario_id": 7}'])
            continue
        payload: dict[str, Any] = {"duration": 30, "watch_duration": 12, "completion_rate": 0.4, "is_muted": False}
        for name, value in chance.sample(FLAWS, chance.choice([0, 0, 0, 1, 2, 4])):
            payload[name] = value
        body = {
            "event_id": f"evt_{chance.randrange(count) if chance.random() < 0.2 else number}",
            "tenant_id": TENANT,
            "scenario_id": chance.choice(["feed", "feed", "strict", "nobody_knows"]),
            "user_id": "u1",
            "item_id": "i1",
            "action_type": chance.choice(
                ["play_end", "impression", "add_cart", "unheard_of"] if number % 9 == 0 else ["play_end"]
            ),
            "timestamp": NOON - chance.choice([0, 0, 48 * HOUR_MS]),
            "context": {"device_type": chance.choice(["mobile"] * 20 + ["fridge"])},
            "scenario_data": {chance.choice(["video_data"] * 9 + ["music_data"]): payload},
        }
        if chance.random() < 0.05:
            body["stranger"] = 1
        yield json.dumps(body).encode()


FLAWS: list[tuple[str, Any]] = [
    ("duration", 0),
    ("duration", "long"),
    ("completion_rate", 1.5),
    ("completion_rate", None),
    ("seek_positions", [1, 2, "three", None, "five"]),
    ("video_quality", "8K"),
    ("title", "Title"),
    ("dotted.name", 1),
    ("n" * 70, 1),
    ("名字", 1),
    ("", 1),
]


def batch(values: Iterable[bytes | None], first: int) -> Batch:
    """A batch of a raw topic, the records twenty seconds apart."""
    records = (
        FakeRecord(offset, value, topic=raw_topic(TENANT), timestamp=NOON + offset * 20_000)
        for offset, value in enumerate(values, first)
    )
    return batch_of(*records)


async def store(client: AsyncClient, judged: Judgement, first: int) -> None:
    """What analytics does with the judge's output; `first` makes the insert another one than those before."""
    for topic, outgoing in ((validated_topic(TENANT), judged.validated), (rejected_topic(TENANT), judged.rejected)):
        if outgoing:
            records = [FakeRecord(first + n, each.value, topic=topic) for n, each in enumerate(outgoing)]
            part = Batch(TP(topic, 0), records, 1, 1)
            await ClickHouseSink(client).insert([part], [rows_of(part)])


def recompute(verdicts: Sequence[tuple[Record, Event | Rejected]]) -> dict[Group, set[Row]]:
    """The view in plain Python; of an event that was sent again only the last counts."""
    last: dict[tuple[Any, ...], tuple[int, Event | Rejected]] = {}
    for record, verdict in verdicts:
        key: tuple[Any, ...] = (record.partition, record.offset)
        if isinstance(verdict, Event):
            key = (verdict.scenario_id, verdict.timestamp // (24 * HOUR_MS), verdict.event_id)
        last[key] = (record.timestamp // HOUR_MS * HOUR_MS, verdict)
    groups: dict[Group, list[Event | Rejected]] = defaultdict(list)
    for hour, verdict in last.values():
        groups[verdict.scenario_id or "", verdict.config_version, hour].append(verdict)
    return {group: set(rows_of_group(members)) for group, members in groups.items()}


def rows_of_group(verdicts: list[Event | Rejected]) -> Iterator[Row]:
    names = {"", *(name for verdict in verdicts for name in (*faulty(verdict), *present(verdict)))}
    for name in names:
        at_fault = [v for v in verdicts if (name in faulty(v) if name else issues_of(v))]
        reject = sum(isinstance(verdict, Rejected) for verdict in at_fault)
        warn = len(at_fault) - reject
        yield name, len(verdicts), len(verdicts) - warn - reject, warn, reject


def issues_of(verdict: Event | Rejected) -> tuple[Any, ...]:
    return verdict.errors if isinstance(verdict, Rejected) else verdict.validation_warnings


def faulty(verdict: Event | Rejected) -> set[str]:
    return {".".join(issue.field.split(".")[:3]) for issue in issues_of(verdict)} - {""}


def present(verdict: Event | Rejected) -> set[str]:
    if isinstance(verdict, Rejected) or verdict.scenario_data is None:
        return set()
    ((key, payload),) = json.loads(verdict.scenario_data).items()
    return {".".join(f"scenario_data.{key}.{name}".split(".")[:3]) for name in payload if len(name) <= 60}


async def view(client: AsyncClient) -> dict[Group, set[Row]]:
    answer = await client.query(
        "SELECT scenario_id, config_version, toUnixTimestamp(hour) * 1000, field, events, pass, warn, reject"
        f" FROM data_quality WHERE tenant_id = '{TENANT}'"
    )
    groups: dict[Group, set[Row]] = defaultdict(set)
    for scenario, version, hour, *row in answer.result_rows:
        assert tuple(row) not in groups[scenario, version, hour]
        groups[scenario, version, hour].add(tuple(row))
    return dict(groups)


async def test_the_view_is_the_recomputation_of_what_the_judge_said(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    verdicts: list[tuple[Record, Event | Rejected]] = []
    values = list(make_values(400, seed=1))
    first, second = judges()
    for start in range(0, 400, 50):
        judge: Judging = first if start < 200 else second
        part = batch(values[start : start + 50], start)
        judged = judge_records(part.records, TENANT, judge)
        verdicts += sorted((*judged.accepted, *judged.rejected), key=lambda each: each[0].offset)
        await store(clickhouse, judgement(part, judge), start)
        await store(clickhouse, judgement(part, judge), start + 10_000)  # at least once: the same rows again
    expected = recompute(verdicts)
    assert {(scenario, version) for scenario, version, _ in expected} == {
        *[("feed", 1), ("feed", 2), ("strict", 1), ("nobody_knows", 0), ("", 0)]
    }
    assert await view(clickhouse) == expected


async def test_every_event_is_seen_once_whatever_the_profile_says(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    for first in range(3):
        part = batch([b"{"], 7)
        await store(clickhouse, judgement(part, judges()[0]), first)
    answer = await clickhouse.query("SELECT events, reject FROM data_quality SETTINGS final = 0")
    assert answer.result_rows == [(1, 1)]


async def test_tables_that_hold_rows_are_brought_to_the_views(clickhouse: AsyncClient) -> None:
    for _, statement in migrations()[:3]:
        await clickhouse.command(statement)
    now = "toDateTime64('2025-10-09 08:53:20', 3, 'UTC')"
    await clickhouse.command(
        "INSERT INTO user_behaviors (event_id, tenant_id, scenario_id, timestamp, received_at, validation_warnings)"
        f" VALUES ('e1', 'acme', 'feed', {now}, {now}, [('user_id', 'missing', '')])"
    )
    await clickhouse.command(
        "INSERT INTO rejected_behaviors (tenant_id, timestamp, reason_codes, fields, kafka_topic)"
        f" VALUES ('acme', {now}, ['missing'], ['item_id'], 't')"
    )
    await migrate(clickhouse)
    await migrate(clickhouse)
    answer = await clickhouse.query("SELECT positive, completion, weight FROM user_behaviors")
    assert answer.result_rows == [(False, None, 0.0)]
    assert {(scenario, version): rows for (scenario, version, _), rows in (await view(clickhouse)).items()} == {
        ("feed", 0): {("", 1, 0, 1, 0), ("user_id", 1, 0, 1, 0)},
        ("", 0): {("", 1, 0, 0, 1), ("item_id", 1, 0, 0, 1)},
    }


async def test_three_hundred_fields_a_group_are_listed_those_with_most_issues_first(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    values = []
    for number in range(11):  # ten times ninety names that nobody declared, and the first ninety once more
        payload = {f"x{number % 10 * 90 + each}": 1 for each in range(90)}
        data = {"video_data": payload}
        values.append(json.dumps(make_body(event_id=f"e{number}", scenario_id="feed", scenario_data=data)).encode())
    await store(clickhouse, judgement(batch(values, 0), judges()[0]), 0)
    rows = (await clickhouse.query(FIELDS, parameters={"tenant": TENANT})).result_rows
    assert len(rows) == 300
    twice = {field for field, _, _, warned, _ in rows if warned == 2}
    assert twice == {f"scenario_data.video_data.x{number}" for number in range(90)}


async def test_a_tenants_question_reads_that_tenants_rows_only(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    for tenant, count in (("acme", 1000), ("big", 100_000)):
        events = [make_event(event_id=f"e{n}", tenant_id=tenant) for n in range(count)]
        await clickhouse.insert(
            "user_behaviors", event_columns(events), column_names=list(EVENT_COLUMNS), column_oriented=True
        )
    answer = await clickhouse.query(FIELDS.replace("field !=", "field ="), parameters={"tenant": TENANT})
    assert answer.result_rows == [("", 1000, 1000, 0, 0)]
    assert 1000 <= int(answer.summary["read_rows"]) <= 2 * 8192
