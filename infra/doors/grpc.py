"""The gRPC door: `BehaviorService.TrackBatch`."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc
from recommender.v1 import behavior_pb2 as pb
from recommender.v1 import behavior_pb2_grpc

from infra.doors.door import UNAVAILABLE, DoorName, Outcome, Refusal
from infra.doors.proto_event import NotExpressibleError, proto_event
from infra.errors import OperatorError, ServerAwayError
from schemas.limits import MAX_BATCH_EVENTS

TIMEOUT_S = 30.0


class GrpcDoor:
    name: DoorName = "grpc"
    batch_size = MAX_BATCH_EVENTS
    calls = 4

    def __init__(self, address: str, tenant: str) -> None:
        self._address = address
        self._metadata = (("x-tenant-id", tenant),)
        self._tenant = tenant

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address)
        self._stub = behavior_pb2_grpc.BehaviorServiceStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """An event that protobuf cannot express is refused here, before it is sent."""
        messages, refusals = translate(events)
        if not messages:
            return Outcome(0, tuple(refusals))
        try:
            answer = await self._stub.TrackBatch(
                pb.TrackBatchRequest(events=messages), timeout=TIMEOUT_S, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            return Outcome(0, (*refusals, *self._explain(error, len(messages))))
        refusals += [Refusal(line.message, tuple(issue.code for issue in line.errors)) for line in answer.errors]
        return Outcome(answer.succeeded, tuple(refusals))

    def _explain(self, error: grpc.aio.AioRpcError, sent: int) -> list[Refusal]:
        reason = error.details() or error.code().name
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            return [Refusal(reason)] * sent
        if error.code() is grpc.StatusCode.UNAVAILABLE and "connect" not in reason.lower():
            return [Refusal(reason, (UNAVAILABLE,))] * sent
        if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
            raise ServerAwayError(
                f"the gRPC door does not answer at {self._address}: start it with `millrace serve grpc` or "
                "`millrace up`, or name its --endpoints"
            ) from error
        raise OperatorError(f"the gRPC door answered {error.code().name}: {reason}") from error


def translate(events: Sequence[bytes]) -> tuple[list[pb.BehaviorEvent], list[Refusal]]:
    """The messages of the events, and a refusal for each that has none."""
    messages, refusals = [], []
    for event in events:
        try:
            messages.append(proto_event(event))
        except NotExpressibleError as error:
            refusals.append(Refusal(f"not expressible in protobuf: {error}", ("not_expressible",)))
    return messages, refusals
