"""Hot lists on a real Redis: landmarks that move, half-lives that change, the cap of a user, bounds."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from schemas import metrics
from schemas.event import Event
from schemas.hot import HotRecord
from schemas.keys import KeySpace
from streams.features.decay import COLDEST, SPAN, landmark_of
from streams.features.fold import Content, fold
from streams.features.model import DAY_MS, HeatCap, Lifetimes, ScenarioSignals, Signals, Sizes
from streams.features.sink import Applied, FenceMoved, RedisFeatureSink
from tests.factories import NOON, make_event
from tests.streams.features.redis_content import held_by, held_in, names_of_lists, ranked, read_hot
from tests.streams.features.traffic import MINUTE, new_tenant, signals

YEAR_MS = 365 * DAY_MS
ANY_WEIGHT = HeatCap(weight=1e9)
LONG_LIVED = Lifetimes(hot_s=10**9)


def some_events(tenant: str, count: int, **fields: Any) -> list[Event]:
    plain = {"scenario_id": "feed", "tenant_id": tenant}
    return [make_event(**(plain | {"event_id": f"evt_{n}", "offset": n} | fields)) for n in range(count)]


def as_the_type_says(tenant: str, scenario_id: str, scenario_type: str) -> ScenarioSignals:
    return ScenarioSignals(30 * MINUTE, int(scenario_type))


def half_life(ms: int) -> Signals:
    return lambda *_: ScenarioSignals(30 * MINUTE, ms)


def make_sink(redis: Redis, of_scenario: Signals = signals, **options: Any) -> RedisFeatureSink:
    plain: dict[str, Any] = {"cap": ANY_WEIGHT, "lifetimes": LONG_LIVED, "clock": lambda: NOON + 100 * YEAR_MS}
    return RedisFeatureSink(redis, of_scenario, **(plain | options))


async def apply_all(sink: RedisFeatureSink, tenant: str, batches: Sequence[list[Event]]) -> None:
    expected = None
    for batch in batches:
        if batch:
            assert isinstance(await sink.apply(tenant, 0, 1, expected, batch[-1].offset, batch), Applied)
            expected = batch[-1].offset


async def scores_of(redis: Redis, tenant: str, name: str) -> dict[str, float]:
    return {item.decode(): score for item, score in await ranked(redis, f"{tenant}:{name}")}


# Steps between arrivals: within a span, to the next, over several, far beyond what a float64 could hold; and back.
steps = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 999, 40 * MINUTE, SPAN * MINUTE, 3 * SPAN * MINUTE + 7, 40 * DAY_MS, YEAR_MS, -DAY_MS)),
        st.sampled_from((0, 1, 5 * MINUTE, 90 * MINUTE, DAY_MS, 9 * YEAR_MS, -MINUTE, -DAY_MS)),  # age of the event
        st.sampled_from(("i1", "i2", "i3")),
        st.booleans(),  # whether another batch begins here
        st.sampled_from((MINUTE, MINUTE, 7 * MINUTE, DAY_MS, 1)),  # the half-life from that batch on
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(steps)
async def test_whatever_moves_heat_is_what_the_specification_says(
    redis_client: Redis, steps: list[tuple[int, int, str, bool, int]]
) -> None:
    """Landmarks, half-lives that change from batch to batch, events from years ago and from ahead."""
    tenant, arrival, scenario_type = new_tenant(), NOON, ""
    batches: list[list[Event]] = []
    for place, (step, age, item, begins, half_life_ms) in enumerate(steps):
        arrival = max(NOON, arrival + step)
        if begins or not batches:
            scenario_type = str(half_life_ms)
            batches.append([])
        event = make_event(
            event_id=f"evt_{place}",
            offset=place,
            tenant_id=tenant,
            scenario_type=scenario_type,
            item_id=item,
            received_at=arrival,
            timestamp=arrival - age,
            weight=0.7,
        )
        batches[-1].append(event)
    await apply_all(make_sink(redis_client, as_the_type_says), tenant, batches)
    events = [event for batch in batches for event in batch]
    expected = fold(events, signals=as_the_type_says, cap=ANY_WEIGHT)
    assert (await held_in(redis_client, tenant)).hot == held_by(expected).hot


async def test_a_rescale_changes_no_order_and_no_ratio(redis_client: Redis) -> None:
    tenant, name = new_tenant(), "hot:scenario:feed"
    sink = make_sink(redis_client, half_life(MINUTE))
    first = [
        make_event(
            tenant_id=tenant,
            scenario_id="feed",
            event_id=f"evt_{n}",
            offset=n,
            item_id=f"i{n % 7}",
            weight=1 / (n + 3),
            timestamp=NOON - n * 777,
        )
        for n in range(40)
    ]
    later = make_event(
        tenant_id=tenant, scenario_id="feed", event_id="later", offset=99, item_id="x", received_at=NOON + 70 * MINUTE
    )
    await apply_all(sink, tenant, [first])
    before = await scores_of(redis_client, tenant, name)
    assert await sink.apply(tenant, 0, 1, 39, 99, [later]) == Applied(1)
    after = await scores_of(redis_client, tenant, name)
    record, _ = await read_hot(redis_client, tenant, name)
    spans = (record.landmark - landmark_of(name, NOON + 5, MINUTE)) // (SPAN * MINUTE)
    assert spans > 0
    assert {item: score * 2.0 ** (SPAN * spans) for item, score in after.items() if item != "x"} == before


async def test_a_list_of_a_minutes_half_life_is_right_after_years(redis_client: Redis) -> None:
    """An event an hour, then every half-minute: 25 million half-lives in all."""
    tenant, sink = new_tenant(), make_sink(redis_client, half_life(MINUTE))
    arrivals = [NOON + n * 3_600_000 for n in range(0, 24 * 365 * 50, 4999)]
    arrivals += [arrivals[-1] + n * 30_000 for n in range(20)]
    events = some_events(tenant, len(arrivals))
    for event, arrival in zip(events, arrivals, strict=True):
        event.timestamp = event.received_at = arrival
        event.item_id = f"i{event.offset % 3}"
    await apply_all(sink, tenant, [events[at : at + 9] for at in range(0, len(events), 9)])
    expected = fold(events, signals=half_life(MINUTE), cap=ANY_WEIGHT)
    assert (await held_in(redis_client, tenant)).hot == held_by(expected).hot
    scores = await scores_of(redis_client, tenant, "hot:scenario:feed")
    assert set(scores) == {"i0", "i1", "i2"}
    assert all(2.0**COLDEST < score < 2.0 ** (SPAN + 5) for score in scores.values())


async def test_an_item_gone_cold_leaves_its_list(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), make_sink(redis_client, half_life(MINUTE))
    events = some_events(tenant, 2)
    events[1].item_id, events[1].received_at = "i2", NOON + 5 * SPAN * MINUTE
    events[1].timestamp = events[1].received_at
    await apply_all(sink, tenant, [events[:1], events[1:]])
    assert set(await scores_of(redis_client, tenant, "hot:scenario:feed")) == {"i2"}
    assert set(await scores_of(redis_client, tenant, "hot:global")) == {"i1", "i2"}


async def test_an_arrival_that_cannot_be_is_taken_for_now(redis_client: Redis) -> None:
    """A topic that lets producers write the time of arrival must not send a list's landmark into the future."""
    tenant, now = new_tenant(), NOON + 1000
    sink = make_sink(redis_client, clock=lambda: now)
    events = some_events(tenant, 3)
    for event, arrival in zip(events, (NOON + YEAR_MS, -1, now + 59 * MINUTE), strict=True):
        event.received_at = arrival
    await apply_all(sink, tenant, [events[:2]])
    record, _ = await read_hot(redis_client, tenant, "hot:global")
    assert record.latest == now
    assert await sink.apply(tenant, 0, 1, 1, 2, events[2:]) == Applied(1)
    record, _ = await read_hot(redis_client, tenant, "hot:global")
    assert record.latest == now + 59 * MINUTE


async def test_workers_that_lag_behind_write_into_the_same_list(redis_client: Redis) -> None:
    """One partition's events arrived weeks before the other's, which are already counted."""
    tenant = new_tenant()
    early, late = some_events(tenant, 1), some_events(tenant, 1, event_id="late", timestamp=NOON + 70 * DAY_MS)
    late[0].received_at = late[0].timestamp
    for partition, events in enumerate((late, early)):
        assert await make_sink(redis_client).apply(tenant, partition, 1, None, 0, events) == Applied(1)
    expected = fold([*late, *early], signals=signals, cap=ANY_WEIGHT)
    assert await held_in(redis_client, tenant) == held_by(expected)


async def test_a_category_of_the_catalogue_and_one_of_the_event_are_one_list(redis_client: Redis) -> None:
    """The later arrival counts, whichever of the two it came with."""
    tenant = new_tenant()
    await redis_client.hset(KeySpace(tenant).key("item", "i1"), "category", "slots")
    events = some_events(tenant, 2)
    events[1].category, events[1].received_at = "slots", NOON + 100 * DAY_MS
    events[1].timestamp = events[1].received_at
    await apply_all(make_sink(redis_client), tenant, [events])
    expected = fold(events, signals=signals, catalogue={"i1": "slots"}, cap=ANY_WEIGHT)
    assert await held_in(redis_client, tenant) == held_by(expected)


weights = st.lists(st.sampled_from((0.1, 0.5, 1.0, 3.0, 9.9, 12.0)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(weights, weights, st.integers(1, 7), st.lists(st.integers(0, 9), max_size=4))
async def test_a_users_cap_is_exact_over_batches_partitions_duplicates_and_replays(
    redis_client: Redis, first: list[float], second: list[float], size: int, replays: list[int]
) -> None:
    tenant, cap = new_tenant(), HeatCap(weight=10.0)
    sink = make_sink(redis_client, cap=cap, max_events=size)
    partitions = [some_events(tenant, len(first)), some_events(tenant, len(second))]
    for partition, of_partition in enumerate((first, second)):
        for event, weight in zip(partitions[partition], of_partition, strict=True):
            event.weight, event.timestamp, event.received_at = weight, NOON, NOON
            if event.offset % 5:  # every fifth event of the second partition was sent by the first already
                event.event_id += f"_{partition}"
    for partition, events in enumerate(partitions):
        assert isinstance(await sink.apply(tenant, partition, 1, None, 100, events), Applied)
        for cut in replays:
            assert await sink.apply(tenant, partition, 1, None, min(cut, 99), events[: cut + 1]) == FenceMoved(100)

    expected = fold([*partitions[0], *partitions[1]], signals=signals, cap=cap)
    held = await held_in(redis_client, tenant)
    assert held == held_by(expected)
    assert held.given == {("u1", NOON // DAY_MS): {"i1": min(10.0, total_of(expected))}}
    for name, (_, heat) in held.hot.items():
        assert heat["i1"] <= 10.0 * (1 + 1e-9), name


def total_of(content: Content) -> float:
    [given] = content.given.values()
    return given["i1"]


async def test_the_next_window_counts_anew_and_other_users_as_ever(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), make_sink(redis_client, cap=HeatCap(weight=2.0))
    events = [
        make_event(tenant_id=tenant, scenario_id="feed", event_id=f"evt_{n}", offset=n, user_id=f"u{n % 2}")
        for n in range(12)
    ]
    for event in events[6:]:
        event.timestamp = event.received_at = NOON + DAY_MS
    capped = metrics.HEAT_CAPPED.labels(tenant)._value.get()
    await apply_all(sink, tenant, [events])
    _, heat = await read_hot(redis_client, tenant, "hot:global")
    assert heat["i1"] == pytest.approx(4 + 4 / 2)
    assert metrics.HEAT_CAPPED.labels(tenant)._value.get() - capped == 4


async def test_what_a_user_gave_is_forgotten_two_windows_after_the_first_event_of_it(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = make_sink(redis_client, cap=HeatCap(weight=5.0, window_ms=3_600_000))
    key = KeySpace(tenant).key("user:heat", "u1", str(NOON // 3_600_000))
    await apply_all(sink, tenant, [some_events(tenant, 1)])
    assert 7190 < await redis_client.ttl(key) <= 7200
    await redis_client.expire(key, 100)
    again = some_events(tenant, 2)[1:]
    assert await sink.apply(tenant, 0, 1, 0, 1, again) == Applied(1)
    assert (await redis_client.hgetall(key), await redis_client.ttl(key) <= 100) == ({b"i1": b"2"}, True)


async def test_a_category_beyond_the_last_place_has_no_list_and_is_counted(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), make_sink(redis_client, sizes=Sizes(hot_categories=3, hot_scenarios=1))
    await redis_client.hset(KeySpace(tenant).key("item", "i1"), "category", "c1")
    categories = ("c0", None, "c2", "c3", "c4", "c0")  # the second is the catalogue's
    events = some_events(tenant, 6)
    for event, category in zip(events, categories, strict=True):
        event.category = category
    events[5].scenario_id = "新闻"
    left_out = metrics.HOT_LEFT_OUT.labels(tenant)._value.get()
    await apply_all(sink, tenant, [events[:1], events[1:]])
    kept = {f"hot:category:c{n}" for n in range(3)}
    assert await names_of_lists(redis_client, tenant, "hot:category") == kept
    assert await names_of_lists(redis_client, tenant, "hot:scenario") == {
        "hot:scenario:feed",
        "hot:scenario_short:feed",
    }
    assert metrics.HOT_LEFT_OUT.labels(tenant)._value.get() - left_out == 3
    _, heat = await read_hot(redis_client, tenant, "hot:global")
    assert heat["i1"] == pytest.approx(6.0)


async def test_a_list_that_outlived_its_life_makes_room(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = make_sink(redis_client, sizes=Sizes(hot_categories=2), lifetimes=Lifetimes(hot_s=DAY_MS // 1000))
    events = some_events(tenant, 4)
    for event, (category, hours) in zip(events, (("a", 0), ("b", 20), ("c", 25), ("d", 26)), strict=True):
        event.category, event.received_at = category, NOON + hours * 60 * MINUTE
    await apply_all(sink, tenant, [[event] for event in events])
    assert await names_of_lists(redis_client, tenant, "hot:category") == {"hot:category:b", "hot:category:c"}
    assert not await redis_client.exists(f"{tenant}:hot:category:a")


async def test_lists_and_their_records_live_as_long_as_the_settings_say(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = make_sink(redis_client, half_life(MINUTE), lifetimes=Lifetimes(hot_s=1000))
    await apply_all(sink, tenant, [some_events(tenant, 1, category="a")])
    names = await names_of_lists(redis_client, tenant)
    assert len(names) == 5
    for name in (*names, "hot:landmarks"):
        await redis_client.expire(f"{tenant}:{name}", 10)
    # An hour later: the scenario's lists are moved to another landmark, which writes them anew.
    at = NOON + 80 * MINUTE
    later = some_events(tenant, 2, category="a", timestamp=at, received_at=at)[1:]
    assert await sink.apply(tenant, 0, 1, 0, 1, later) == Applied(1)
    for name in (*names, "hot:landmarks"):
        assert 990 < await redis_client.ttl(f"{tenant}:{name}") <= 1000, name


@pytest.mark.parametrize("record", [None, "nonsense", "1:0:1"])
async def test_a_list_without_a_record_begins_anew(redis_client: Redis, record: str | None) -> None:
    """Nobody knows what its scores mean; the two must not be added up."""
    tenant = new_tenant()
    await redis_client.zadd(f"{tenant}:hot:global", {"old": 1e300, "i1": 5.0})
    if record:
        await redis_client.hset(KeySpace(tenant).key("hot:landmarks"), "hot:global", record)
    events = some_events(tenant, 1)
    await apply_all(make_sink(redis_client), tenant, [events])
    assert await held_in(redis_client, tenant) == held_by(fold(events, signals=signals))


def test_lists_of_one_half_life_move_at_different_times() -> None:
    landmarks = [landmark_of(f"hot:category:c{n}", NOON, DAY_MS) for n in range(1000)]
    moved_within_an_hour = [sum(at <= mark < at + 3_600_000 for mark in landmarks) for at in landmarks]
    assert max(moved_within_an_hour) < 10
    assert all(0 <= NOON - mark < SPAN * DAY_MS for mark in landmarks)


def test_a_half_life_of_a_year_has_its_landmark_within_the_epoch() -> None:
    assert all(0 <= landmark_of(f"list {n}", NOON, YEAR_MS) <= NOON for n in range(100))


async def test_a_record_reads_as_it_was_written(redis_client: Redis) -> None:
    tenant = new_tenant()
    await apply_all(make_sink(redis_client), tenant, [some_events(tenant, 1)])
    record, _ = await read_hot(redis_client, tenant, "hot:scenario_short:feed")
    assert record == HotRecord(landmark_of("hot:scenario_short:feed", NOON + 5, DAY_MS // 8), DAY_MS // 8, NOON + 5)


@pytest.mark.parametrize("wrong", [{"weight": 0.0}, {"items": 0}, {"window_ms": 999}, {"weight": float("inf")}])
def test_a_cap_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        HeatCap(**wrong)
