"""Every view says what plain Python says of the same events: resent, inserted again, of tenants with equal names."""

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError
from faust.types import TP
from markdown_it import MarkdownIt

from schemas.clock import system_clock
from schemas.ddl import migrations
from schemas.event import Context, Event
from schemas.topics import summaries_topic, validated_topic
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.clickhouse_sink import ClickHouseSink
from streams.migrations import migrate
from streams.rows import rows_of
from streams.transport import Batch
from tests.factories import make_event
from tests.streams.fakes import FakeRecord
from tests.streams.test_session_rows import CODEC, make_summary

PAGE = Path(__file__).parents[2] / "docs" / "clickhouse.md"
MIDNIGHT = 1_760_054_400_000  # 2025-10-10, ms
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 24 * 3_600_000
TENANTS = ("acme", "other")
ACTIONS = ("impression", "impression", "click", "play", "purchase")
STEPS = ["impression", "click", "purchase"]


def make_events(count: int, seed: int) -> list[Event]:
    """Both tenants have the same scenarios, users and event ids. One in eight was sent before, and is sent changed."""
    chance = random.Random(seed)
    events: list[Event] = []
    for number in range(count):
        if events and chance.random() < 0.125:
            before = chance.choice(events)
            day = before.timestamp - before.timestamp % DAY_MS
            again = {"timestamp": day + chance.randrange(DAY_MS), "action_type": chance.choice(ACTIONS)}
            same = ("event_id", "tenant_id", "scenario_id", "user_id", "experiment_id", "experiment_group")
            events.append(make_event(**{name: getattr(before, name) for name in same}, **again, offset=number))
            continue
        user = chance.randrange(40)
        experiment = chance.choice([None, "colours", "order"])
        events.append(
            make_event(
                event_id=f"evt_{number // 2}",
                tenant_id=TENANTS[number % 2],
                scenario_id=chance.choice(["feed", "shop"]),
                user_id=f"u{user}",
                action_type=chance.choice(ACTIONS),
                timestamp=MIDNIGHT + int(chance.expovariate(1 / 12) * DAY_MS / 4) + user % 5 * DAY_MS,
                experiment_id=experiment,
                experiment_group=chance.choice([None, "a"]) if experiment == "order" else "ab"[user % 2],
                offset=number,
            )
        )
    return events


async def store(client: AsyncClient, events: Sequence[Event]) -> None:
    """As the worker does after crashes: groups whose borders differ, some of them inserted twice, in offset order."""
    sink = ClickHouseSink(client)
    for first, last in ((0, 300), (200, 500), (200, 500), (450, 2000), (0, 2000)):
        for tenant in TENANTS:
            part = [event for event in events[first:last] if event.tenant_id == tenant]
            topic = validated_topic(tenant)
            records = [FakeRecord(event.offset, encode_event(event), topic=topic) for event in part]
            batch = Batch(TP(topic, 0), records, 1, 1)
            await sink.insert([batch], [rows_of(batch)])


def last_of(events: Iterable[Event]) -> list[Event]:
    """Each event once, as it was sent last."""
    return list({(e.tenant_id, e.scenario_id, e.timestamp // DAY_MS, e.event_id): e for e in events}.values())


@pytest.fixture
async def events(clickhouse: AsyncClient) -> list[Event]:
    await migrate(clickhouse)
    made = make_events(2000, seed=3)
    await store(clickhouse, made)
    return made


async def check(client: AsyncClient, query: str, keys: int, expected: Mapping[Any, Sequence[Any]]) -> None:
    """The first `keys` columns name a row of `expected`, the others are it, whatever the profile says of final."""
    for final in (0, 1):
        answer = await client.query(query, settings={"final": final})
        found = {tuple(row[:keys]): tuple(row[keys:]) for row in answer.result_rows}
        assert len(found) == len(answer.result_rows), "a key has one row"
        assert same(found, expected), final


def same(found: Mapping[Any, Sequence[Any]], expected: Mapping[Any, Sequence[Any]]) -> bool:
    return set(found) == set(expected) and all(
        len(found[key]) == len(values)
        and all(
            math.isclose(mine, value, rel_tol=1e-9, abs_tol=1e-12) if isinstance(value, float) else mine == value
            for mine, value in zip(found[key], values, strict=True)
        )
        for key, values in expected.items()
    )


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


async def test_ctr_by_scenario_and_hour(clickhouse: AsyncClient, events: list[Event]) -> None:
    counts: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for event in last_of(events):
        if event.action_type in {"impression", "click"}:
            hour = event.timestamp // HOUR_MS
            counts[event.tenant_id, event.scenario_id, hour // 24, hour][event.action_type] += 1
    expected = {key: (c["impression"], c["click"], ratio(c["click"], c["impression"])) for key, c in counts.items()}
    query = "SELECT tenant_id, scenario_id, toUInt32(day), intDiv(toUnixTimestamp(hour), 3600), * EXCEPT (tenant_id,"
    await check(clickhouse, query + " scenario_id, day, hour) FROM ctr_hourly", 4, expected)


def reached(events: Sequence[Event], steps: Sequence[str], window_ms: int) -> int:
    """How many steps a user took: from every first step, each following one as early as it comes."""
    best = 0
    for begin in (event.timestamp for event in events if event.action_type == steps[0]):
        now, done = begin, 1
        for step in steps[1:]:
            later = [e.timestamp for e in events if e.action_type == step and now <= e.timestamp <= begin + window_ms]
            if not later:
                break
            now, done = min(later), done + 1
        best = max(best, done)
    return best


async def test_funnels(clickhouse: AsyncClient, events: list[Event]) -> None:
    for steps in (STEPS, ["play"], ["purchase", "impression"], ["impression", "unheard_of"]):
        for window_s, days in ((3600, 9), (40, 9), (86_400 * 3, 2)):
            await check_funnel(clickhouse, events, steps, window_s, MIDNIGHT + days * DAY_MS)


async def check_funnel(
    clickhouse: AsyncClient, events: list[Event], steps: list[str], window_s: int, until: int
) -> None:
    users: defaultdict[str, list[Event]] = defaultdict(list)
    for event in last_of(events):
        if (event.tenant_id, event.scenario_id) == ("acme", "feed") and MIDNIGHT + DAY_MS <= event.timestamp < until:
            users[event.user_id].append(event)
    depths = [reached(of_user, steps, window_s * 1000) for of_user in users.values()]
    counts = [sum(depth >= step for depth in depths) for step in range(1, len(steps) + 1)]
    answer = await clickhouse.query(
        "SELECT step, action, users, share, share_of_previous FROM funnel(tenant = 'acme', scenario = 'feed',"
        f" steps = {steps}, window_s = {window_s}, since = '2025-10-11',"
        f" until = fromUnixTimestamp64Milli({until}, 'UTC'))"
    )
    assert list(answer.result_rows) == [
        (n + 1, steps[n], count, ratio(count, counts[0]), ratio(count, counts[n - 1]) if n else None)
        for n, count in enumerate(counts)
    ]


async def test_a_funnel_of_other_steps_is_refused_even_where_there_is_no_event(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    for steps in ([], ["click", "play", "click"], [f"step{n}" for n in range(9)]):
        with pytest.raises(DatabaseError, match="name one to eight different actions"):
            await clickhouse.query(
                f"SELECT * FROM funnel(tenant = 'acme', scenario = 'feed', steps = {steps}, window_s = 1,"
                " since = '2025-10-11', until = '2025-10-12')"
            )


async def test_views_of_nothing_are_empty_and_a_funnel_has_its_steps(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    for name in ("ctr_hourly", "retention", "experiment_outcomes", "sessions_daily", "data_quality", "judged_events"):
        assert (await clickhouse.query(f"SELECT * FROM {name}")).result_rows == [], name
    answer = await clickhouse.query(
        "SELECT * FROM funnel(tenant = 'acme', scenario = 'feed', steps = ['click', 'play'], window_s = 1,"
        " since = '2025-10-11', until = '2025-10-12')"
    )
    assert answer.result_rows == [(1, "click", 0, None, None), (2, "play", 0, None, None)]


async def test_retention_by_the_day_on_which_a_user_was_first_seen(
    clickhouse: AsyncClient, events: list[Event]
) -> None:
    days: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for event in events:
        days[event.tenant_id, event.user_id].add(event.timestamp // DAY_MS)
    returned: Counter[tuple[str, int, int]] = Counter()
    for (tenant, _), seen in days.items():
        returned.update((tenant, min(seen), day - min(seen)) for day in seen)
    expected = {key: (returned[key[0], key[1], 0], n, n / returned[key[0], key[1], 0]) for key, n in returned.items()}
    query = "SELECT tenant_id, toUInt32(first_day), days_later, users, returned, share FROM retention"
    await check(clickhouse, query, 3, expected)
    assert len({first_day for _, first_day, _ in expected}) > 1


async def test_outcomes_of_experiments(clickhouse: AsyncClient, events: list[Event]) -> None:
    arms: defaultdict[tuple[Any, ...], defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for event in last_of(events):
        if event.experiment_id is not None:
            arm = (event.tenant_id, event.experiment_id, event.experiment_group or "")
            arms[arm][event.user_id][event.action_type] += 1
    expected = {arm: outcome(list(users.values())) for arm, users in arms.items()}
    query = (
        "SELECT tenant_id, experiment_id, experiment_group, users, events, actions, converted, impressions, clicks,"
        " ctr, ctr_standard_error FROM experiment_outcomes"
    )
    await check(clickhouse, query, 3, expected)
    assert {arm[2] for arm in expected} == {"", "a", "b"}


def outcome(users: list[Counter[str]]) -> tuple[Any, ...]:
    total: Counter[str] = sum(users, Counter())
    converted = Counter(action for actions in users for action in actions)
    shown, clicked, n = total["impression"], total["click"], len(users)
    ctr = ratio(clicked, shown)
    error = None
    if ctr is not None and n > 1:
        squares = sum((actions["click"] - ctr * actions["impression"]) ** 2 for actions in users)
        error = math.sqrt(squares / n * n / (n - 1) * n) / shown
    return n, total.total(), dict(total), dict(converted), shown, clicked, ctr, error


async def test_sessions_by_day(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    chance, last, sink = random.Random(5), {}, ClickHouseSink(clickhouse)
    records: dict[str, list[FakeRecord]] = {tenant: [] for tenant in TENANTS}
    for offset in range(400):
        tenant, number = chance.choice(TENANTS), chance.randrange(100)
        began = MIDNIGHT + number % 3 * DAY_MS + number * HOUR_MS // 10
        actions = {"impression": chance.randrange(5), "click": chance.randrange(3), "play": 1}
        summary = make_summary(
            session_id=f"ses_{number}",
            tenant_id=tenant,
            user_id=f"u{number % 9}",
            scenario_id=f"feed{number % 2}",
            started_at=began,
            ended_at=began + chance.randrange(HOUR_MS),
            events=chance.choice([1, sum(actions.values())]),
            dwell_ms=chance.randrange(HOUR_MS),
            actions=actions,
        )
        last[tenant, number] = summary
        value, topic = CODEC.encode(summary), summaries_topic(tenant)
        records[tenant].append(FakeRecord(offset, value, topic=topic, timestamp=MIDNIGHT + offset))
    for tenant, of_tenant in records.items():
        for first in range(0, len(of_tenant), 10):
            batch = Batch(TP(summaries_topic(tenant), 0), of_tenant[first : first + 10], 1, 1)
            for _ in range(chance.choice([1, 1, 2])):
                await sink.insert([batch], [rows_of(batch)])
    groups: defaultdict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for summary in last.values():
        groups[summary["tenant_id"], summary["scenario_id"], summary["started_at"] // DAY_MS].append(summary)
    query = (
        "SELECT tenant_id, scenario_id, toUInt32(day), sessions, users, events, bounced, mean_length_s, mean_dwell_s,"
        " impressions, clicks, ctr, late FROM sessions_daily"
    )
    await check(clickhouse, query, 3, {key: day_of(summaries) for key, summaries in groups.items()})


def day_of(summaries: list[dict[str, Any]]) -> tuple[Any, ...]:
    n, actions = len(summaries), sum((Counter(each["actions"]) for each in summaries), Counter[str]())
    return (
        *(n, len({each["user_id"] for each in summaries}), sum(each["events"] for each in summaries)),
        sum(each["events"] == 1 for each in summaries),
        sum(each["ended_at"] - each["started_at"] for each in summaries) / n / 1000,
        sum(each["dwell_ms"] for each in summaries) / n / 1000,
        *(actions["impression"], actions["click"], ratio(actions["click"], actions["impression"]), 0),
    )


async def test_days_of_users_from_before_the_view_are_taken_over_once(clickhouse: AsyncClient) -> None:
    names = [name for name, _ in migrations()]
    for _, statement in migrations()[: names.index("014_user_days.sql")]:
        await clickhouse.command(statement)
    row = "('e{0}', 'acme', 'u{0}', '2025-10-0{0} 10:00:00')"
    insert = "INSERT INTO user_behaviors (event_id, tenant_id, user_id, timestamp) VALUES "
    await clickhouse.command(insert + row.format(1))
    await migrate(clickhouse)
    await clickhouse.command(insert + row.format(2))
    await migrate(clickhouse)
    answer = await clickhouse.query("SELECT user_id, toString(day) FROM user_days ORDER BY 1 SETTINGS final = 0")
    assert list(answer.result_rows) == [("u1", "2025-10-01"), ("u2", "2025-10-02")]
    await clickhouse.command("TRUNCATE TABLE user_days")
    await migrate(clickhouse)
    assert (await clickhouse.query("SELECT count() FROM user_days")).result_rows == [(0,)], "it is not read again"


async def test_a_day_of_one_tenant_reads_that_days_rows_only(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    await clickhouse.command(
        "INSERT INTO user_behaviors (event_id, tenant_id, scenario_id, action_type, timestamp)"
        " SELECT toString(number), if(number < 20000, 'acme', 'big'), 'feed', 'click',"
        f" fromUnixTimestamp64Milli(toInt64({MIDNIGHT} + number % 20 * {DAY_MS})) FROM numbers(220000)"
    )
    answer = await clickhouse.query(
        "SELECT sum(clicks) FROM ctr_hourly WHERE tenant_id = 'big' AND scenario_id = 'feed' AND day = '2025-10-12'"
    )
    assert answer.result_rows == [(10_000,)]
    assert int(answer.summary["read_rows"]) <= 10_000 + 2 * 8192


def queries_of_the_page() -> list[str]:
    """Every query of docs/clickhouse.md, those on command lines too."""
    fences = [token for token in MarkdownIt().parse(PAGE.read_text()) if token.type == "fence"]
    assert {token.info for token in fences} == {"sh", "sql"}
    in_lines = [re.findall(r'"(SELECT .*)"', token.content) for token in fences if token.info == "sh"]
    return [token.content for token in fences if token.info == "sql"] + [query for found in in_lines for query in found]


async def fill_page(client: AsyncClient) -> None:
    """A little of everything that the page asks for, of today."""
    now, sink = system_clock(), ClickHouseSink(client)
    warned = (Issue("user_id", Code.MISSING, "is required"),)
    events = [
        make_event(
            event_id=f"e{n}",
            user_id=f"u{n % 2}",
            action_type=action,
            timestamp=now - 10_000 + n,
            received_at=now,
            context=Context("mobile", request_id="req_1"),
            scenario_data='{"video_data":{"completion_rate":0.5}}',
            validation_warnings=warned,
            experiment_id="covers",
            experiment_group="ab"[n % 2],
            offset=n,
        )
        for n, action in enumerate(["impression", "impression", "click", "click", "play"])
    ]
    topics = (validated_topic("acme"), summaries_topic("acme"))
    for topic, values in zip(
        topics, ([encode_event(event) for event in events], [CODEC.encode(make_summary(started_at=now))]), strict=True
    ):
        records = [FakeRecord(n, value, topic=topic) for n, value in enumerate(values)]
        batch = Batch(TP(topic, 0), records, 1, 1)
        await sink.insert([batch], [rows_of(batch)])
    await client.command(
        "INSERT INTO recommendation_log (request_id, tenant_id, item_id, position, strategy, timestamp)"
        " VALUES ('req_1', 'acme', 'i1', 0, 'mixed', now())"
    )


async def test_every_query_of_the_page_works_as_written(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    await fill_page(clickhouse)
    for query in queries_of_the_page():
        assert (await clickhouse.query(query.removesuffix("FORMAT Vertical"))).result_rows, query


async def test_what_was_recommended_meets_what_was_clicked(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    await fill_page(clickhouse)
    (query,) = (query for query in queries_of_the_page() if "recommendation_log" in query)
    assert (await clickhouse.query(query)).result_rows == [("mixed", 1, 1)]


async def test_every_column_of_the_tables_of_rows_is_on_the_page(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    page = PAGE.read_text()
    tables = ("rejected_behaviors", "sessions", "recommendation_log", "ctr_hourly", "retention", "experiment_outcomes")
    for table in (*tables, "sessions_daily", "data_quality"):
        columns = [row[0] for row in (await clickhouse.query(f"DESCRIBE TABLE {table}")).result_rows]
        assert not [name for name in columns if f"`{name}`" not in page and not name.startswith("kafka_")], table
