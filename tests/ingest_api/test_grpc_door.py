"""What is gRPC's own at the gRPC door: statuses, bounds, health, reflection."""

import json

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
from recommender.v1 import behavior_pb2 as pb
from recommender.v1 import behavior_pb2_grpc

from ingest_api.grpc_door.server import create_server
from tests.factories import make_body
from tests.ingest_api.doors import FakePublisher, grpc_channel, grpc_door, make_door_deps
from tests.ingest_api.messages import message_of


async def test_says_come_back_while_the_broker_is_away() -> None:
    publisher = FakePublisher(down=True)
    async with grpc_door(publisher) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as one:
            await stub.TrackEvent(pb.TrackEventRequest(event=message_of(make_body())))
        with pytest.raises(grpc.aio.AioRpcError) as many:
            await stub.TrackBatch(pb.TrackBatchRequest(events=[message_of(make_body())]))
    for caught in (one, many):
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert dict(caught.value.trailing_metadata() or ())["retry-after"] == "2"
    assert publisher.published == []


async def test_refuses_a_message_over_its_bound() -> None:
    async with grpc_door() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.TrackEvent(pb.TrackEventRequest(event=message_of(make_body(item_id="i" * 10_000_000))))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("count", [0, 101])
async def test_refuses_what_is_no_batch(count: int) -> None:
    async with grpc_door() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.TrackBatch(pb.TrackBatchRequest(events=[pb.BehaviorEvent()] * count))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_event_that_names_no_tenant_has_that_of_the_metadata() -> None:
    publisher = FakePublisher()
    request = pb.TrackEventRequest(event=message_of(make_body(tenant_id=None)))
    async with grpc_door(publisher, default_tenant="house") as stub:
        await stub.TrackEvent(request)
        await stub.TrackEvent(request, metadata=(("x-tenant-id", "acme"),))
    assert [sent.tenant for sent in publisher.published] == ["house", "acme"]
    assert json.loads(publisher.published[1].value)["tenant_id"] == "acme"


async def test_is_healthy_while_its_servers_answer_and_lists_its_services() -> None:
    async with grpc_channel(make_door_deps()) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="recommender.v1.BehaviorService"))
        async for state in watch:
            if state.status == health_pb2.HealthCheckResponse.SERVING:
                break
        watch.cancel()
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        async for reply in reflection.ServerReflectionInfo(iter([ask])):
            names = {service.name for service in reply.list_services_response.service}
            break
    assert "recommender.v1.BehaviorService" in names


async def test_finishes_the_calls_in_flight_when_it_stops() -> None:
    door, port = await create_server(make_door_deps(), 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: behavior_pb2_grpc.BehaviorServiceAsyncStub = behavior_pb2_grpc.BehaviorServiceStub(channel)
        call = stub.TrackEvent(pb.TrackEventRequest(event=message_of(make_body())))
        reply = await call
        await door.stop()
    assert reply.success


async def test_a_port_that_is_taken_is_an_error() -> None:
    door, port = await create_server(make_door_deps(), 0)
    try:
        with pytest.raises(RuntimeError):
            await create_server(make_door_deps(), port)
    finally:
        await door.stop()
