"""What is no event, in whatever way: each such record is one dead letter with its code and its bytes, nothing is stuck,
and the records around it count exactly."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from infra.stack.server import Server
from schemas.dead_letter import DeadLetter, decode_dead_letter
from schemas.limits import MAX_EVENT_BYTES, MAX_FUTURE_MS, OLDEST_TIMESTAMP_MS
from schemas.topics import raw_topic, rejected_topic
from schemas.validated import encode_event
from schemas.verdict import Code
from streams.judging import MAX_ORIGINAL_BYTES
from streams.transport.inflating import MAX_INFLATED_BYTES
from tests.factories import make_event
from tests.faults.scene import Scene, read_all
from tests.faults.traffic import PARTITIONS
from tests.streams.live import make_config, make_topic

NOW: Final = time.time_ns() // 1_000_000
GOOD_BETWEEN: Final = 40  # so that no tenant is parked for its bad records
MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Sent:
    """A record, and the code of the dead letter that it must become; None: an event that counts."""

    value: bytes | None
    code: Code | None = None
    key: bytes | None = b"u1"
    arrival: int = NOW
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def body(number: int = 0, **changes: Any) -> dict[str, Any]:
    """An event of the tenant that `bad` and `good` fill in; of another item each."""
    event = {
        "scenario_id": "feed",
        "user_id": f"u{number % 7}",
        "item_id": f"i{number}",
        "action_type": "click",
        "timestamp": NOW - 60_000 + number,
        "context": {"device_type": "mobile"},
    }
    return event | changes


def encoded(tenant: str, event_id: str, event: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"event_id": event_id, "tenant_id": tenant} | event)


def odd(tenant: str, partition: int) -> list[Sent]:
    """Every kind of record once; the ids and users are the partition's own."""

    def of(name: str, **changes: Any) -> bytes:
        return encoded(tenant, f"evt_{name}_{partition}", body(user_id=f"odd{partition}", **changes))

    good = of("x")
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    return [
        Sent(b"", Code.EMPTY),
        Sent(None, Code.EMPTY),
        Sent(b"not json", Code.INVALID_JSON),
        Sent(b"[1]", Code.NOT_AN_OBJECT),
        Sent(of("full").ljust(MAX_EVENT_BYTES)),
        Sent(of("over").ljust(MAX_EVENT_BYTES + 1), Code.TOO_LARGE),
        Sent(b" " * 900_000, Code.TOO_LARGE),
        Sent(of("deep", extra_data=deep), Code.TOO_DEEP),
        Sent(b"[" * 60_000, Code.TOO_DEEP),
        Sent(good.replace(b"odd", b"\xff\xfe\xff"), Code.INVALID_JSON),
        Sent(b"\xff\xfe" + good, Code.INVALID_JSON),
        Sent(encoded("another", f"evt_other_{partition}", body()), Code.TENANT_MISMATCH),
        Sent(encode_event(make_event(tenant_id=tenant)), Code.INVALID_JSON),
        Sent(of("key"), key=b"somebody else"),
        Sent(of("nokey"), key=None),
        Sent(of("longkey"), key=b"k" * 200_000),
        Sent(of("header"), headers=[("x", b"h" * 900_000)]),
        Sent(of("headers"), headers=[("x", b"")] * 5000),
        Sent(of("oldest", timestamp=OLDEST_TIMESTAMP_MS)),
        Sent(of("older", timestamp=OLDEST_TIMESTAMP_MS - 1), Code.TIMESTAMP_TOO_OLD),
        Sent(of("latest", timestamp=NOW + MAX_FUTURE_MS)),
        Sent(of("later", timestamp=NOW + MAX_FUTURE_MS + 1), Code.TIMESTAMP_IN_FUTURE),
        Sent(of("last", timestamp=2**63 - 1), Code.TIMESTAMP_IN_FUTURE),
        Sent(of("beyond", timestamp=2**64 - 1), Code.OUT_OF_RANGE),
        Sent(of("first", timestamp=-(2**63)), Code.TIMESTAMP_TOO_OLD),
        Sent(of("epoch"), Code.TIMESTAMP_IN_FUTURE, arrival=0),
    ]


@pytest.mark.timeout(180)
async def test_each_bad_record_is_one_dead_letter_and_the_rest_counts(
    kafka: str, redis_server: str, tenant: str
) -> None:
    scene = scene_on(kafka, redis_server, tenant)
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    async with scene.worker():
        sent = await send_odd(kafka, tenant)
        expected = await scene.assert_exact()
    letters = {(letter.partition, letter.offset): letter for letter in await letters_of(kafka, tenant)}
    assert len(expected.accepted) + len(letters) == len(sent)
    for place, each in sent.items():
        if each.code is None:
            assert place not in letters
        else:
            assert_letter(letters[place], each)


async def send_odd(kafka: str, tenant: str) -> dict[tuple[int, int], Sent]:
    """Each odd record in each partition, between good ones. (partition, offset) -> what was sent there."""
    placed: dict[tuple[int, int], Sent] = {}
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5) as producer:
        for partition in range(PARTITIONS):
            sent = [
                each
                for number, bad in enumerate(odd(tenant, partition))
                for each in (*good(tenant, partition, number), bad)
            ]
            futures = [await send(producer, raw_topic(tenant), partition, each) for each in sent]
            for each, future in zip(sent, futures, strict=True):
                placed[partition, (await future).offset] = each
    return placed


def good(tenant: str, partition: int, group: int) -> list[Sent]:
    numbers = range(group * GOOD_BETWEEN, (group + 1) * GOOD_BETWEEN)
    return [
        Sent(encoded(tenant, f"evt_{partition}_{number}", body(number, user_id=f"u{partition}_{number % 7}")))
        for number in numbers
    ]


async def send(producer: AIOKafkaProducer, topic: str, partition: int, sent: Sent) -> asyncio.Future[RecordMetadata]:
    future: asyncio.Future[RecordMetadata] = await producer.send(
        topic, sent.value, key=sent.key, partition=partition, timestamp_ms=sent.arrival, headers=sent.headers
    )
    return future


def assert_letter(letter: DeadLetter, sent: Sent) -> None:
    assert letter.reason_codes[0] == sent.code, letter.message
    assert letter.original_bytes == (sent.value or b"")[:MAX_ORIGINAL_BYTES]
    assert letter.timestamp == sent.arrival


async def letters_of(kafka: str, tenant: str) -> list[DeadLetter]:
    return [decode_dead_letter(record.value) for record in await read_all(kafka, rejected_topic(tenant))]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("codec", "size", "records"),
    [
        ("gzip", 2 * MAX_INFLATED_BYTES, 1),
        ("zstd", 300 * MIB, 1),
        ("zstd", 400, 2 * MAX_INFLATED_BYTES // 400),
    ],
)
async def test_a_batch_that_inflates_to_too_much_is_one_dead_letter(
    kafka: str, redis_server: str, tenant: str, codec: str, size: int, records: int
) -> None:
    scene = scene_on(kafka, redis_server, tenant)
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    async with scene.worker():
        options = {"max_request_size": 2 * size * records, "max_batch_size": 2 * size * records}
        async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=codec, **options) as producer:
            futures = [await send(producer, raw_topic(tenant), 0, each) for each in good(tenant, 0, 0)]
            await asyncio.gather(*futures)
            bomb = producer.create_batch()
            for _ in range(records):
                assert bomb.append(timestamp=NOW, key=None, value=bytes(size)) is not None
            place = await (await producer.send_batch(bomb, raw_topic(tenant), partition=0))
            futures = [await send(producer, raw_topic(tenant), 0, each) for each in good(tenant, 0, 1)]
            await asyncio.gather(*futures)
        expected = await scene.assert_exact()
    (letter,) = await letters_of(kafka, tenant)
    assert letter.offset == place.offset + records - 1
    assert letter.reason_codes[0] == Code.TOO_LARGE
    assert len(letter.original_bytes) == MAX_ORIGINAL_BYTES
    assert len(expected.accepted) == 2 * GOOD_BETWEEN


async def test_what_the_broker_does_not_take_harms_nobody(kafka: str, redis_server: str, tenant: str) -> None:
    """Headers beyond its limit, a time of arrival that no clock shows: the sender is told."""
    scene = scene_on(kafka, redis_server, tenant)
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    async with scene.worker(), AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=4 * MIB) as producer:
        before = [await send(producer, raw_topic(tenant), 0, each) for each in good(tenant, 0, 0)]
        with pytest.raises(MessageSizeTooLargeError):
            large = Sent(encoded(tenant, "evt_large", body()), headers=[("x", bytes(2 * MIB))])
            await (await send(producer, raw_topic(tenant), 0, large))
        with pytest.raises(KafkaError):
            late = Sent(encoded(tenant, "evt_late", body()), arrival=2**63 - 1)
            await (await send(producer, raw_topic(tenant), 0, late))
        after = [await send(producer, raw_topic(tenant), 0, each) for each in good(tenant, 0, 1)]
        await asyncio.gather(*before, *after)
        expected = await scene.assert_exact()
    assert len(expected.accepted) == 2 * GOOD_BETWEEN
    assert not expected.rejected


def scene_on(kafka: str, redis_dsn: str, tenant: str) -> Scene:
    """On servers that others use too, and that nobody kills."""
    shared = cast(Server, None)
    return Scene(tenant, shared, shared, kafka, redis_dsn, make_config(kafka))
