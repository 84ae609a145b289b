"""Clients that do all they can do wrong, at once: what they sent is judged and counted as plain Python says."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from schemas.dead_letter import DeadLetter, decode_dead_letter
from schemas.topics import raw_topic, rejected_topic
from schemas.verdict import Code
from tests.e2e.traffic import make_traffic
from tests.faults.scene import native_scene, read_all
from tests.faults.traffic import PARTITIONS, POISONS, SPLIT_USERS, Clients, Sent, by_crc32, make_sent, poison

COUNT = 4_000
HOUR_MS = 60 * 60 * 1000
SKEWS_H = (-160, -30, -7, 0, 0, 0, 5, 23)  # of a user's clock; an event may be 24 h ahead of its arrival
TOO_FAR_H = 25
AHEAD = 40  # events that are too far ahead
LIBRDKAFKA = {b"split0": 1, b"split1": 3, b"u1": 2, b"u499": 0, "пользователь".encode(): 2, b"a:b%c": 2, b"x" * 200: 2}


@pytest.mark.parametrize(("key", "partition"), LIBRDKAFKA.items())
def test_keys_go_where_librdkafka_sends_them(key: bytes, partition: int) -> None:
    """As confluent-kafka 2.16 placed them, by its default partitioner, on a topic of four partitions."""
    assert by_crc32(key, range(PARTITIONS), range(PARTITIONS)) == partition


@pytest.mark.stack
@pytest.mark.native
@pytest.mark.timeout(300)
async def test_what_clients_do_wrong_is_counted_as_plain_python_counts_it(tenant: str, tmp_path: Path) -> None:
    """Poison at the head of each partition and again later; retries that overtake; two partitioners; skewed clocks."""
    now_ms = time.time_ns() // 1_000_000
    head = list(poison(tenant, now_ms))
    sent = skewed(make_sent(tenant, count=COUNT, now_ms=now_ms)) + too_far_ahead(tenant, now_ms)
    async with native_scene(tenant, tmp_path) as scene, scene.worker(), Clients(scene.kafka_dsn, tenant) as clients:
        await clients.send(head)
        await scene.wait_all_counted()
        await clients.send(sent)
        expected = await scene.assert_exact()
        letters = [decode_dead_letter(each.value) for each in await read_all(scene.kafka_dsn, rejected_topic(tenant))]
        raw = {(each.partition, each.offset): each for each in await read_all(scene.kafka_dsn, raw_topic(tenant))}
    assert [letter for letter in letters if letter.original_bytes != (raw[place_of(letter)].value or b"")] == []
    assert Counter(letter.partition for letter in letters if not is_ahead(letter)) == poisoned(2 * POISONS)
    assert sum(map(is_ahead, letters)) == AHEAD
    assert len(expected.accepted) + len(letters) == len(raw) == len(head) + len(sent)
    homes = {user: {each.partition for each in expected.accepted if each.user_id == user} for user in SPLIT_USERS}
    assert max(map(len, homes.values())) > 1, "nobody's events lay in two partitions"
    behind = {(each.received_at - each.timestamp) // HOUR_MS for each in expected.accepted}
    assert min(behind) < -22
    assert max(behind) > 159


def skewed(sent: Sequence[Sent]) -> list[Sent]:
    """Each user's clock is wrong by the same time throughout; those of two partitions keep theirs."""
    dice = random.Random(3)
    skews: defaultdict[bytes, int] = defaultdict(lambda: dice.choice(SKEWS_H) * HOUR_MS)
    return [
        each if each.partition is not None or each.key.decode() in SPLIT_USERS else later(each, skews[each.key])
        for each in sent
    ]


def later(sent: Sent, skew_ms: int) -> Sent:
    event = msgspec.json.decode(sent.value or b"")
    return replace(sent, value=msgspec.json.encode(event | {"timestamp": event["timestamp"] + skew_ms}))


def too_far_ahead(tenant: str, now_ms: int) -> list[Sent]:
    made = make_traffic(tenant, count=AHEAD, now_ms=now_ms, seed=5).good
    events = [event | {"timestamp": now_ms + TOO_FAR_H * HOUR_MS} for event in made]
    return [Sent(msgspec.json.encode(event), event["user_id"].encode(), now_ms) for event in events]


def is_ahead(letter: DeadLetter) -> bool:
    return letter.reason_codes == (Code.TIMESTAMP_IN_FUTURE.value,)


def place_of(letter: DeadLetter) -> tuple[int, int]:
    return letter.partition, letter.offset


def poisoned(times: int) -> dict[int, int]:
    return dict.fromkeys(range(PARTITIONS), times)
