"""The whole way, with a worker killed in the middle: what lies in the stores equals a plain recomputation."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect
import grpc.aio
import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from recommender.v1 import behavior_pb2 as pb
from recommender.v1 import behavior_pb2_grpc as rpc
from redis.asyncio import Redis

from infra.platform import Platform, start_platform
from infra.stack.kinds import NotSetUpError, StackKind
from schemas.topics import raw_topic
from streams.features.fold import Content
from tests.conftest import unavailable
from tests.e2e.recompute import judge_all, read_raw
from tests.e2e.traffic import SCENARIO, catalogue, make_traffic
from tests.streams.features.redis_content import held_by, held_in
from tracking_configs.judge import Judge
from tracking_configs.model import TrackingConfig
from tracking_configs.registry import ConfigRegistry

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
COUNT = 20_000
TENANT = "acme"
SETTLED_WITHIN_S = 120.0


@pytest.fixture(params=["embedded", pytest.param("native", marks=pytest.mark.native)])
async def platform(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Platform]:
    kind: StackKind = request.param
    try:
        async with start_platform(tmp_path, kind) as running:
            yield running
    except NotSetUpError as error:
        unavailable(kind, str(error))


async def test_everything_sent_by_three_doors_is_stored_once_though_workers_are_killed(platform: Platform) -> None:
    items = catalogue()
    config = await set_up_tenant(platform, items)
    traffic = make_traffic(TENANT, count=COUNT, now_ms=time.time_ns() // 1_000_000)

    sending = asyncio.gather(
        send_http(platform, traffic.http),
        send_grpc(platform, traffic.grpc),
        send_kafka(platform, traffic.kafka, traffic.bad),
    )
    assert await eventually(lambda: fences(platform), lambda moved: moved), "nothing has been counted yet"
    platform.kill("stream", signal.SIGKILL)
    platform.kill("analytics", signal.SIGKILL)
    await sending

    registry = ConfigRegistry()
    registry.apply(config)
    records = await read_raw(platform.endpoints["kafka"], TENANT)
    assert len(records) == COUNT + len(traffic.bad)
    expected = judge_all(records, TENANT, Judge(registry))
    assert expected.event_ids == {event["event_id"] for event in traffic.good}
    assert len(expected.rejected) == len(traffic.bad)

    await clickhouse_holds(platform, expected.event_ids, expected.rejected)
    categories = {item["item_id"]: item["category"] for item in items}
    await redis_holds(platform, expected.content(categories), records)
    await lists_are_there(platform, {event.user_id for event in expected.accepted})


async def set_up_tenant(platform: Platform, items: list[dict[str, Any]]) -> TrackingConfig:
    async with httpx.AsyncClient(base_url=platform.endpoints["http"], headers={"X-Tenant-ID": TENANT}) as http:
        body = {"tenant_id": TENANT, "scenario_id": SCENARIO, "template_id": "video", "name": "Vlogs"}
        made = await http.post("/api/v1/tracking-configs/from-template", json=body)
        assert made.status_code == 201, made.text
        stored = await http.post("/api/v1/items", json={"items": items})
        assert stored.status_code == 200, stored.text
    return msgspec.json.decode(made.content, type=TrackingConfig)


async def send_http(platform: Platform, events: list[dict[str, Any]]) -> None:
    async with httpx.AsyncClient(base_url=platform.endpoints["http"], timeout=60) as http:
        for batch in batches(events):
            answer = await http.post("/api/v1/behaviors/track/batch", json={"events": batch})
            assert answer.json()["succeeded"] == len(batch), answer.text


async def send_grpc(platform: Platform, events: list[dict[str, Any]]) -> None:
    async with grpc.aio.insecure_channel(platform.endpoints["grpc"]) as channel:
        service = rpc.BehaviorServiceStub(channel)
        for batch in batches(events):
            answer = await service.TrackBatch(pb.TrackBatchRequest(events=[event_message(event) for event in batch]))
            assert answer.succeeded == len(batch), answer


def event_message(event: dict[str, Any]) -> pb.BehaviorEvent:
    context = {"device_type": pb.DeviceType.Value(f"DEVICE_TYPE_{event['context']['device_type'].upper()}")}
    action = pb.ActionType.Value(f"ACTION_TYPE_{event['action_type'].upper()}")
    return pb.BehaviorEvent(**event | {"context": context, "action_type": action})


def batches(events: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [events[start : start + 100] for start in range(0, len(events), 100)]


async def send_kafka(platform: Platform, events: list[dict[str, Any]], bad: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=platform.endpoints["kafka"], acks="all", compression_type="lz4")
    async with producer:
        for number, event in enumerate(events):
            await producer.send(raw_topic(TENANT), msgspec.json.encode(event), key=event["user_id"].encode())
            if number < len(bad):
                await producer.send(raw_topic(TENANT), bad[number], key=b"u0")


async def clickhouse_holds(platform: Platform, ids: set[str], rejected: set[tuple[int, int]]) -> None:
    client = await clickhouse_connect.get_async_client(dsn=platform.endpoints["clickhouse"])

    async def rows(query: str) -> list[Any]:
        return list((await client.query(query)).result_rows)

    counts = "SELECT (SELECT count() FROM user_behaviors), (SELECT count() FROM rejected_behaviors)"
    await eventually(lambda: rows(counts), lambda found: found[0] >= (len(ids), len(rejected)))
    stored = [row[0] for row in await rows("SELECT event_id FROM user_behaviors")]
    assert len(stored) == len(ids)
    assert set(stored) == ids
    letters = await rows("SELECT kafka_partition, kafka_offset FROM rejected_behaviors")
    assert len(letters) == len(rejected)
    assert set(letters) == rejected
    await client.close()


async def fences(platform: Platform) -> dict[int, int]:
    """The last raw offset counted, by partition."""
    async with Redis.from_url(platform.endpoints["redis"], decode_responses=True) as redis:
        found: Any = await redis.hgetall(f"{TENANT}:fence:features")
    return {int(partition): int(fence.split(":")[1]) for partition, fence in found.items()}


async def redis_holds(platform: Platform, expected: Content, records: list[Any]) -> None:
    ends: dict[int, int] = {}
    for record in records:
        ends[record.partition] = record.offset
    await eventually(lambda: fences(platform), lambda found: found == ends)
    async with Redis.from_url(platform.endpoints["redis"]) as redis:
        assert held_by(expected) == await held_in(redis, TENANT)


async def lists_are_there(platform: Platform, users: set[str]) -> None:
    async with Redis.from_url(platform.endpoints["redis"]) as redis:

        async def without_list() -> set[str]:
            return {user for user in users if not await redis.exists(f"{TENANT}:rec:cache:{user}:home")}

        assert not await eventually(without_list, lambda missing: not missing)


async def eventually(ask: Any, is_so: Any) -> Any:
    """The first answer that is so; after the time allowed the last one, for the test to judge."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while not is_so(found := await ask()) and time.monotonic() < deadline:  # others do the work
        await asyncio.sleep(0.25)
    return found
