"""The data quality of a scenario's last hours, on the real engine."""

import base64
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.connections import open_clickhouse
from ingest_api.event_store import EventStore
from ingest_api.quality import HOUR_MS, FieldQuality, Quality, QualityProblem, quality_of
from ingest_api.quality_examples import MAX_EXAMPLE_BYTES, ExampleEvent
from schemas.dead_letter import dead_letter
from schemas.event import Event
from schemas.verdict import Code, Issue
from streams.migrations import migrate
from streams.rows import (
    EVENT_COLUMNS,
    REJECTED_BEHAVIORS,
    REJECTED_COLUMNS,
    USER_BEHAVIORS,
    as_columns,
    event_columns,
    refused_row,
    rejected_row,
)
from tests.factories import NOON, make_event

DURATION = "scenario_data.video_data.duration"
SEEKS = "scenario_data.video_data.seek_positions"
NOW = NOON + HOUR_MS


@pytest.fixture
async def store(clickhouse: AsyncClient, clickhouse_server: str) -> AsyncIterator[EventStore]:
    """The store over the test's own database, whose tables are there."""
    await migrate(clickhouse)
    answer = await clickhouse.query("SELECT currentDatabase()")
    store = EventStore(lambda: open_clickhouse(f"{clickhouse_server}/{answer.result_rows[0][0]}"))
    yield store
    await store.close()


def issue(field: str, code: Code = Code.MISSING, message: str = "required integer is missing") -> Issue:
    return Issue(field, code, message)


def event(number: int, *warnings: Issue, **parts: Any) -> Event:
    """The event at offset `number`, which arrived `number` ms into the hour."""
    defaults = {"event_id": f"e{number}", "offset": number, "received_at": NOON + number, "config_version": 1}
    return make_event(validation_warnings=warnings, **(defaults | parts))


def letter(number: int, *errors: Issue, tenant: str = "acme", value: bytes = b"{}", **parts: Any) -> tuple[Any, ...]:
    """The row of a rejected event at offset `number` of partition 7."""
    defaults: dict[str, Any] = {
        "topic": f"user-behaviors-{tenant}",
        "partition": 7,
        "offset": number,
        "timestamp": NOON + number,
        "scenario_id": "vlog_feed",
        "config_version": 1,
    }
    return rejected_row(tenant, dead_letter(value, errors, **(defaults | parts)))


async def insert(client: AsyncClient, events: list[Event], letters: list[tuple[Any, ...]] | None = None) -> None:
    if events:
        await client.insert(USER_BEHAVIORS, event_columns(events), list(EVENT_COLUMNS), column_oriented=True)
    if letters:
        await client.insert(REJECTED_BEHAVIORS, as_columns(letters), REJECTED_COLUMNS, column_oriented=True)


async def asked(store: EventStore, tenant: str = "acme", scenario: str = "vlog_feed", **options: Any) -> Quality:
    return await quality_of(store, tenant, scenario, **({"clock": lambda: NOW} | options))


def field(name: str, version: int, passed: int, warn: int, reject: int) -> FieldQuality:
    return FieldQuality(field=name, version=version, passed=passed, warn=warn, reject=reject)


def shown(problem: QualityProblem) -> list[Any]:
    return [msgspec.json.decode(example.event) for example in problem.examples]


def totals(quality: Quality) -> tuple[int, int, int, int]:
    return quality.totals.events, quality.totals.passed, quality.totals.warn, quality.totals.reject


async def test_counts_by_version_and_field_and_names_what_went_wrong(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    items = [issue(f"{SEEKS}.{n}", Code.WRONG_TYPE, f"expected integer, got {n}") for n in (3, 5)]
    payload = '{"video_data":{"duration":3,"is_muted":true}}'
    events = [
        event(1, scenario_data=payload),
        event(2, issue(DURATION)),
        event(3, issue(DURATION), *items),
        event(4, config_version=2),
    ]
    await insert(clickhouse, events, [letter(9, issue("user_id"), issue("item_id"), value=b'{"event_id":"x"}')])
    quality = await asked(store)
    assert totals(quality) == (5, 2, 2, 1)
    assert [(each.version, each.events, each.passed, each.warn, each.reject) for each in quality.versions] == [
        (2, 1, 1, 0, 0),
        (1, 4, 1, 2, 1),
    ]
    assert quality.fields == (
        field(DURATION, 1, 2, 2, 0),
        field("item_id", 1, 3, 0, 1),
        field(SEEKS, 1, 3, 1, 0),
        field("user_id", 1, 3, 0, 1),
        field("scenario_data.video_data.is_muted", 1, 4, 0, 0),
    )
    assert [(each.code, each.field, each.verdict, each.count) for each in quality.problems] == [
        ("missing", DURATION, "warn", 2),
        ("missing", "item_id", "reject", 1),
        ("missing", "user_id", "reject", 1),
        ("wrong_type", SEEKS, "warn", 1),
    ]
    assert quality.problems[3].message == "expected integer, got 3"
    assert [body["event_id"] for body in shown(quality.problems[0])] == ["e3", "e2"]
    assert shown(quality.problems[1]) == [{"event_id": "x"}]


async def test_an_example_is_the_event_as_it_was_sent_and_where_it_stands(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    name = "e'v\"\\1\t\u00e9{tenant:String}"
    given = event(5, issue(DURATION), event_id=name, position=2, scenario_data='{"video_data":{"x":[1.0]}}')
    await insert(clickhouse, [given])
    ((problem,), (version,)) = (await asked(store)).problems, (await asked(store)).versions
    (example,) = problem.examples
    assert msgspec.structs.replace(example, event=msgspec.Raw()) == ExampleEvent(
        event=msgspec.Raw(),
        is_cut=False,
        event_id=name,
        kafka_topic="user-behaviors-acme",
        kafka_partition=0,
        kafka_offset=5,
        received_at=NOON + 5,
    )
    assert msgspec.json.decode(example.event) == {
        "tenant_id": "acme",
        "scenario_id": "vlog_feed",
        "event_id": name,
        "user_id": "u1",
        "item_id": "i1",
        "action_type": "play",
        "timestamp": NOON,
        "context": {"device_type": "mobile"},
        "position": 2,
        "scenario_data": {"video_data": {"x": [1.0]}},
    }
    assert json.loads(msgspec.json.encode(version))["pass"] == 0


@pytest.mark.parametrize(
    ("value", "text", "is_cut", "event_id"),
    [
        (b'{"event_id": "x", "n": 12345678901234567890123}', None, False, "x"),
        (b'{"event_id": 5}', None, False, None),
        (b'{"a": ', '{"a": ', False, None),
        (b"[1]", "[1]", False, None),
        (b"\xff{", "\ufffd{", False, None),
        (b'{"a": "\xff"}', '{"a": "\ufffd"}', False, None),
        (b"", "", False, None),
        (b"[" * MAX_EXAMPLE_BYTES, "[" * MAX_EXAMPLE_BYTES, False, None),
        (b'{"a": "' + b"x" * 90_000, '{"a": "' + "x" * (MAX_EXAMPLE_BYTES - 7), True, None),
        ("é".encode() * 3000, "é" * (MAX_EXAMPLE_BYTES // 2), True, None),
    ],
)
async def test_a_rejected_example_is_the_json_object_or_the_text_that_came(
    clickhouse: AsyncClient, store: EventStore, value: bytes, text: str | None, is_cut: bool, event_id: str | None
) -> None:
    await insert(clickhouse, [], [letter(1, issue(""), value=value)])
    ((example,),) = [problem.examples for problem in (await asked(store)).problems]
    assert bytes(example.event) == value if text is None else msgspec.json.decode(example.event) == text
    assert (example.is_cut, example.event_id) == (is_cut, event_id)


async def test_a_large_accepted_event_is_shown_as_the_beginning_of_its_text(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    await insert(clickhouse, [event(1, issue(DURATION), extra_data=json.dumps({"x": "y" * 50_000}))])
    ((example,),) = [problem.examples for problem in (await asked(store)).problems]
    assert example.is_cut
    assert msgspec.json.decode(example.event).startswith('{"tenant_id":"acme"')
    assert len(example.event) < 2 * MAX_EXAMPLE_BYTES


async def test_what_was_sent_or_inserted_again_counts_once(clickhouse: AsyncClient, store: EventStore) -> None:
    for offset in (1, 2):
        await insert(clickhouse, [event(offset, issue(DURATION), event_id="same")], [letter(9, issue("user_id"))])
    quality = await asked(store)
    assert totals(quality) == (2, 0, 1, 1)
    assert [[each.kafka_offset for each in problem.examples] for problem in quality.problems] == [[9], [2]]


async def test_looks_at_what_arrived_in_the_last_hours_whenever_it_happened(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    day = 24 * HOUR_MS
    events = [
        event(1, timestamp=NOON - 400 * day),
        event(2, timestamp=NOON + day),
        event(3, received_at=NOON),
        event(4, received_at=NOW),
        event(5, received_at=NOON - 1),
        event(6, received_at=NOW + 1),
    ]
    letters = [letter(n, issue("user_id"), timestamp=time) for n, time in enumerate((NOON - 1, NOON, NOW, NOW + 1))]
    await insert(clickhouse, events, letters)
    assert totals(await asked(store)) == (6, 4, 0, 2)
    assert totals(await asked(store, hours=2)) == (8, 5, 0, 3)
    quality = await asked(store, clock=lambda: NOON + 100 * HOUR_MS)
    assert (totals(quality), quality.fields, quality.problems, quality.unattributed) == ((0, 0, 0, 0), (), (), 0)
    assert (quality.since, quality.until) == (NOON + 99 * HOUR_MS, NOON + 100 * HOUR_MS)


async def test_two_tenants_with_the_same_scenario_see_their_own(clickhouse: AsyncClient, store: EventStore) -> None:
    """Even where partition, offset and event_id are the same."""
    for tenant, user in (("acme", "ann"), ("other", "bob")):
        events = [event(1, issue(DURATION), tenant_id=tenant, user_id=user)]
        value = json.dumps({"user_id": user}).encode()
        lost = letter(3, issue(""), tenant=tenant, scenario_id=None, config_version=0)
        await insert(clickhouse, events, [letter(2, issue("item_id"), tenant=tenant, value=value), lost])
    await insert(clickhouse, [event(7, tenant_id="other")])
    for tenant, user, passed in (("acme", "ann", 0), ("other", "bob", 1)):
        quality = await asked(store, tenant)
        assert totals(quality) == (2 + passed, passed, 1, 1)
        assert quality.unattributed == 1
        assert [body["user_id"] for problem in quality.problems for body in shown(problem)] == [user, user]
    assert totals(await asked(store, "nobody")) == (0, 0, 0, 0)


async def test_another_scenario_and_a_name_that_is_sql_are_just_names(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    name = "x' OR 1=1 -- {tenant:String}"
    await insert(clickhouse, [event(1), event(2, issue(DURATION), scenario_id=name)])
    assert totals(await asked(store)) == (1, 1, 0, 0)
    quality = await asked(store, scenario=name)
    assert totals(quality) == (1, 0, 1, 0)
    assert shown(quality.problems[0])[0]["scenario_id"] == name


async def test_an_event_that_could_not_be_stored_is_a_problem_of_its_scenario(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    await insert(clickhouse, [], [refused_row(event(1), "too large a number")])
    (problem,) = (await asked(store)).problems
    assert (problem.code, problem.field, problem.message) == ("not_storable", "", "too large a number")
    assert shown(problem)[0]["event_id"] == "e1"


async def test_a_row_written_before_it_had_errors_is_counted_by_its_fields(
    clickhouse: AsyncClient, store: EventStore
) -> None:
    row = dict(zip(REJECTED_COLUMNS, letter(1, issue("user_id"), value=base64.b64encode(b"x")), strict=True))
    await insert(clickhouse, [], [tuple((row | {"errors": []}).values())])
    quality = await asked(store)
    assert (totals(quality), quality.problems) == ((1, 0, 0, 1), ())
    assert quality.fields == (field("user_id", 1, 0, 0, 1),)


async def test_the_answer_is_bounded(clickhouse: AsyncClient, store: EventStore) -> None:
    names = [f"scenario_data.video_data.x{number}" for number in range(300)]
    every = [issue(name) for name in names]
    await insert(clickhouse, [event(n, *every) for n in range(5)] + [event(9, issue(names[-1]))])
    quality = await asked(store)
    assert (len(quality.fields), len(quality.problems)) == (200, 50)
    assert quality.fields[0].field == quality.problems[0].field == names[-1]
    assert {len(problem.examples) for problem in quality.problems} == {3}
    assert {len(problem.examples) for problem in (await asked(store, examples=1)).problems} == {1}
    assert {problem.count for problem in quality.problems[1:]} == {5}


async def test_a_whole_hour_is_what_the_view_says_of_it(clickhouse: AsyncClient, store: EventStore) -> None:
    chance = random.Random(5)
    hour = NOON // HOUR_MS * HOUR_MS
    issues = [issue(DURATION), issue(f"{SEEKS}.1"), issue(f"{SEEKS}.2"), issue("a.b.c.d"), issue("")]
    parts: list[dict[str, Any]] = [
        {"received_at": hour + chance.randrange(HOUR_MS), "config_version": chance.randrange(3)} for _ in range(300)
    ]
    payloads = (None, "{}", '{"video_data":{"duration":1,"x.y":2}}', '{"custom_data":{"a":{"b":1}}}')
    events = [
        event(n, *chance.sample(issues, chance.randrange(4)), scenario_data=chance.choice(payloads), **part)
        for n, part in enumerate(parts[:200])
    ]
    letters = [
        letter(n, *chance.sample(issues, 2), timestamp=part["received_at"], config_version=part["config_version"])
        for n, part in enumerate(parts[200:])
    ]
    await insert(clickhouse, events, letters)
    quality = await asked(store, clock=lambda: hour + HOUR_MS - 1)
    rows = await clickhouse.query("SELECT field, config_version, pass, warn, reject FROM data_quality")
    assert {msgspec.structs.astuple(each) for each in quality.fields} | {
        ("", each.version, each.passed, each.warn, each.reject) for each in quality.versions
    } == set(rows.result_rows)
    assert totals(quality)[0] == 300
