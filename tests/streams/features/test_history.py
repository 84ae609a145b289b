"""Online equals offline: what a model is trained on is what a request would have read."""

from typing import cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from schemas.event import Event
from schemas.keys import KeySpace
from streams.features.history import UserFeatures, replay
from tests.factories import NOON, make_event
from tests.streams.features.redis_content import parsed
from tests.streams.features.shipping import close_all
from tests.streams.features.test_sink_equals_fold import SMALL, Worker, fill_catalogue, make_sink
from tests.streams.features.traffic import CATALOGUE, MINUTE, new_tenant, numbered, signals, traffic

borders = st.lists(st.integers(0, 80), max_size=8)


@settings(deadline=None, max_examples=40)
@given(traffic(), borders, st.sets(st.integers(0, 8)))
async def test_a_user_reads_online_what_the_replay_gave_offline(
    redis_client: Redis, events: list[Event], cuts: list[int], closings: set[int]
) -> None:
    """Wherever batches are cut: the features before the first event of a user that a batch brings."""
    tenant = new_tenant()
    events = numbered(events, tenant)
    await fill_catalogue(redis_client, tenant)
    offline = {event.offset: features for event, features in replay(events, signals, catalogue=CATALOGUE, sizes=SMALL)}
    worker = Worker(make_sink(redis_client), tenant, events, cuts)
    for number, (_, _, batch) in enumerate(worker.batches):
        firsts: dict[str, int] = {}
        for event in batch:
            if event.offset in offline:
                firsts.setdefault(event.user_id, event.offset)
        for user, offset in firsts.items():
            assert comparable(await read(redis_client, tenant, user)) == comparable(offline[offset])
        await worker.apply(number)
        if number in closings:
            await close_all(worker.sink, tenant)


async def read(redis: Redis, tenant: str, user: str) -> UserFeatures:
    """As a request does."""
    keys = KeySpace(tenant)
    session = cast(dict[bytes, bytes], await redis.hgetall(keys.key("user:session", user)))
    recent = cast(list[bytes], await redis.lrange(keys.key("user:recent", user), 0, -1))
    return UserFeatures(
        {name.decode(): value.decode() for name, value in session.items()}, [decoded(entry) for entry in recent]
    )


def decoded(entry: bytes) -> tuple[str, str, int]:
    return msgspec.json.decode(entry, type=tuple[str, str, int])


def comparable(features: UserFeatures) -> UserFeatures:
    """Whether a session was found closed already is no feature."""
    return UserFeatures(parsed(features.session) if features.session else {}, features.recent)


def test_the_first_event_of_a_user_has_no_features_and_the_next_those_of_the_first() -> None:
    first = make_event(scenario_id="feed", event_id="a")
    second = make_event(scenario_id="feed", event_id="b", timestamp=NOON + MINUTE)
    (_, none), (event, features) = replay([first, second], signals)
    assert none == UserFeatures({}, [])
    assert event is second
    assert (features.session["events"], features.recent) == ("1", [("i1", "play", NOON)])


def test_an_event_sent_twice_is_one_row() -> None:
    same = make_event(scenario_id="feed")
    assert len(list(replay([same, same], signals))) == 1
