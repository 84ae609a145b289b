"""Hot and rising, read from lists that the stream's sink wrote."""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from recommenders.hot_lists import WHOLE_TENANT, hottest, list_of, rising
from recommenders.stores import Stores
from schemas.clock import system_clock
from schemas.hot import HotRecord
from schemas.keys import KeySpace
from streams.features.model import DAY_MS, ScenarioSignals
from streams.features.sink import RedisFeatureSink
from tests.factories import NOON, make_event

HOUR_MS = 60 * 60 * 1000
PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


async def play(redis: Redis, tenant: str, plays: dict[str, list[int]], *, users: int = 10) -> None:
    """At each of the given hours before NOON so many users, of that hour, play each item."""
    moments = sorted(
        (NOON - ago * HOUR_MS, item, f"u{ago}_{user}")
        for item, hours in plays.items()
        for ago in hours
        for user in range(users)
    )
    events = [
        make_event(
            tenant_id=tenant,
            event_id=f"evt_{offset}",
            offset=offset,
            user_id=user,
            item_id=item,
            timestamp=at,
            received_at=at,
            category="live",
        )
        for offset, (at, item, user) in enumerate(moments)
    ]
    sink = RedisFeatureSink(redis, lambda *_: ScenarioSignals(HOUR_MS, 12 * HOUR_MS))
    await sink.apply(tenant, 0, 1, None, len(events), events)


@pytest.mark.parametrize(
    ("name", "half_life_ms"),
    [
        (list_of("vlog_feed"), 12 * HOUR_MS),
        (list_of(WHOLE_TENANT), DAY_MS),
        (list_of(WHOLE_TENANT, "live"), DAY_MS),
    ],
)
async def test_heat_is_as_of_now_in_every_list(
    redis_client: Redis, tenant: str, name: tuple[str, ...], half_life_ms: int
) -> None:
    await play(redis_client, tenant, {"i1": [0, 24], "i2": [1]})
    for later in (0, 7 * HOUR_MS):
        ranked = await hottest(redis_client, KeySpace(tenant), name, NOON + later, 10)
        heat = {"i1": 10 * (1 + 0.5 ** (DAY_MS / half_life_ms)), "i2": 10 * 0.5 ** (HOUR_MS / half_life_ms)}
        assert dict(ranked) == pytest.approx({item: h * 0.5 ** (later / half_life_ms) for item, h in heat.items()})
        assert [item for item, _ in ranked] == ["i1", "i2"]
    assert len(await hottest(redis_client, KeySpace(tenant), name, NOON, 1)) == 1


@pytest.mark.parametrize("scenario", [WHOLE_TENANT, "vlog_feed"])
async def test_what_is_new_rises_and_what_is_steady_or_fades_does_not(
    redis_client: Redis, tenant: str, scenario: str
) -> None:
    plays = {"new": [0], "steady": list(range(72)), "faded": list(range(40, 72)), "louder": [0, 0, 0, *range(72)]}
    await play(redis_client, tenant, plays, users=40)
    risen = await rising(redis_client, KeySpace(tenant), scenario, NOON, 10)
    assert [item for item, _ in risen] == ["new", "louder"]
    assert risen[0][1] == pytest.approx(8 * 40 / (40 + 30), rel=0.02)
    assert await rising(redis_client, KeySpace(tenant), scenario, NOON, 1) == risen[:1]


async def test_one_user_does_not_make_an_item_rise_as_many_do(redis_client: Redis, tenant: str) -> None:
    await play(redis_client, tenant, {"pushed": [0] * 50}, users=1)
    await play(redis_client, f"{tenant}b", {"liked": [0]}, users=50)
    [(_, pushed)] = await rising(redis_client, KeySpace(tenant), WHOLE_TENANT, NOON, 10)
    [(_, liked)] = await rising(redis_client, KeySpace(f"{tenant}b"), WHOLE_TENANT, NOON, 10)
    assert pushed == pytest.approx(8 * 10 / 40)
    assert liked == pytest.approx(8 * 50 / 80)


async def test_what_a_recommendation_takes_is_in_the_order_of_the_list(redis_client: Redis, tenant: str) -> None:
    """Shares of the best: neither the landmark nor the time that has passed since changes them."""
    await play(redis_client, tenant, {"i1": [0, 24], "i2": [1], "i3": [50]})
    stores, name = Stores.empty(), list_of("vlog_feed")
    for later in (0, 20 * DAY_MS):
        await stores.ranked.refresh(redis_client, KeySpace(tenant), [name], NOON + later)
        held = stores.ranked.get(name)
        ranked = await hottest(redis_client, KeySpace(tenant), name, NOON + later, 10)
        assert [stores.items.ids[number] for number in held.items] == [item for item, _ in ranked]
        assert held.scores == pytest.approx([heat / ranked[0][1] for _, heat in ranked])
        assert held.record is not None
        assert held.record.latest == NOON


async def test_the_command_of_the_page_answers_the_same_heat(redis_client: Redis, tenant: str) -> None:
    found = re.search(r'eval "\n(.+?)" 2', PAGE.read_text(), re.DOTALL)
    assert found
    keys, now_ms = KeySpace(tenant), system_clock()
    list_key, landmarks = keys.key("hot:global"), keys.key("hot:landmarks")
    await redis_client.zadd(list_key, {"i1": 2.0**40, "i2": 3.0, "i3": 1.0})
    await redis_client.hset(landmarks, "hot:global", f"{now_ms - 40 * HOUR_MS}:{HOUR_MS}:{now_ms}")
    answer = await redis_client.eval(found[1], 2, list_key, landmarks, "hot:global", "2")
    shown = {answer[n].decode(): float(answer[n + 1]) for n in range(0, len(answer), 2)}
    assert shown == pytest.approx(dict(await hottest(redis_client, keys, list_of(WHOLE_TENANT), now_ms, 2)), rel=0.1)


async def test_a_scenario_that_nobody_knows_has_nothing(redis_client: Redis, tenant: str) -> None:
    assert await hottest(redis_client, KeySpace(tenant), list_of("nowhere"), NOON, 10) == []
    assert await rising(redis_client, KeySpace(tenant), "nowhere", NOON, 10) == []


async def test_an_item_its_long_list_no_longer_holds_is_not_divided_by_nothing(
    redis_client: Redis, tenant: str
) -> None:
    await play(redis_client, tenant, {"i1": [0]}, users=90)
    keys = KeySpace(tenant)
    before = dict(await rising(redis_client, keys, WHOLE_TENANT, NOON, 10))
    await redis_client.zrem(keys.key("hot:global"), "i1")
    assert dict(await rising(redis_client, keys, WHOLE_TENANT, NOON, 10)) == pytest.approx(before)


def test_heat_before_the_landmark_or_long_after_it_is_still_a_number() -> None:
    record = HotRecord(NOON, 1, NOON)
    assert (record.share_left(NOON - DAY_MS), record.share_left(NOON + DAY_MS)) == (1.0, 0.0)
    assert record.share_left(NOON + 1) == 0.5


@pytest.mark.parametrize("value", [None, b"", b"1:2", b"1:0:3", b"a:b:c", b"\xff:1:1", b"-1:2:3", b"1:2:3:4"])
def test_what_is_no_record_reads_as_none(value: bytes | None) -> None:
    assert HotRecord.parse(value) is None
    assert HotRecord.parse(b"1:2:3") == HotRecord(1, 2, 3)
