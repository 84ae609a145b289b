"""BehaviorService: translates, calls the track service, answers."""

from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from recommender.v1 import behavior_pb2 as pb
from recommender.v1 import behavior_pb2_grpc

from ingest_api.deps import DoorSettings
from ingest_api.grpc_door.translate import event_json
from ingest_api.tracing import traceparent
from ingest_api.track import Failure, Receipt, TrackService
from schemas.limits import MAX_BATCH_EVENTS
from schemas.verdict import Code, Issue

TENANT_METADATA: Final = "x-tenant-id"
DETAILS_TRAILER: Final = "grpc-status-details-bin"  # where clients' libraries look for a google.rpc.Status
MAX_DETAIL: Final = 2000  # of the status message, in characters: headers are bounded

Answer = TypeVar("Answer", pb.TrackEventResponse, pb.ValidateEventResponse)
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in grpc's stubs alone


class BehaviorServicer(behavior_pb2_grpc.BehaviorServiceServicer):
    """The calls of one track service; their names are the service's."""

    def __init__(self, service: TrackService, settings: DoorSettings) -> None:
        self._service = service
        self._default_tenant = settings.default_tenant

    async def TrackEvent(self, request: pb.TrackEventRequest, context: Context) -> pb.TrackEventResponse:
        receipt = await self._service.track(event_json(request.event), self._tenant(context), traceparent())
        return await _answer(receipt, context, pb.TrackEventResponse)

    async def ValidateEvent(self, request: pb.ValidateEventRequest, context: Context) -> pb.ValidateEventResponse:
        receipt = await self._service.validate(event_json(request.event), self._tenant(context))
        return await _answer(receipt, context, pb.ValidateEventResponse)

    async def TrackBatch(self, request: pb.TrackBatchRequest, context: Context) -> pb.TrackBatchResponse:
        if not 1 <= len(request.events) <= MAX_BATCH_EVENTS:
            message = f"a batch has 1 to {MAX_BATCH_EVENTS} events, this has {len(request.events)}"
            code = Code.TOO_LONG if request.events else Code.TOO_SHORT
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, message, (Issue("events", code, message),))
        bodies = [event_json(event) for event in request.events]
        receipts = await self._service.track_batch(bodies, self._tenant(context), traceparent())
        return await _answer_batch(receipts, context)

    def _tenant(self, context: Context) -> str | None:
        metadata = context.invocation_metadata() or ()
        named = next((value for name, value in metadata if name == TENANT_METADATA), None)
        return str(named) if named else self._default_tenant


async def _answer(receipt: Receipt, context: Context, kind: type[Answer]) -> Answer:
    if receipt.failure is None:
        return kind(
            success=True,
            event_id=receipt.event_id or "",
            message=receipt.message,
            validation_warnings=_issues(receipt.warnings),
        )
    unavailable = receipt.failure is Failure.UNAVAILABLE
    code = grpc.StatusCode.UNAVAILABLE if unavailable else grpc.StatusCode.INVALID_ARGUMENT
    await _abort(context, code, receipt.message, receipt.errors, receipt.retry_after_s)
    raise AssertionError("abort raises")


async def _answer_batch(receipts: list[Receipt], context: Context) -> pb.TrackBatchResponse:
    """UNAVAILABLE where none was taken and Kafka's absence is the reason for one of them, as over HTTP."""
    failures = [(index, receipt) for index, receipt in enumerate(receipts) if receipt.failure is not None]
    waits = [receipt.retry_after_s for _, receipt in failures if receipt.failure is Failure.UNAVAILABLE]
    if waits and len(failures) == len(receipts):
        message = "Kafka does not answer: no event is known to be taken"
        issues = tuple(issue for _, receipt in failures for issue in receipt.errors)
        await _abort(context, grpc.StatusCode.UNAVAILABLE, message, issues, max(waits))
    return pb.TrackBatchResponse(
        success=not failures,
        total=len(receipts),
        succeeded=len(receipts) - len(failures),
        failed=len(failures),
        errors=[
            pb.EventFailure(
                index=index, event_id=receipt.event_id or "", message=receipt.message, errors=_issues(receipt.errors)
            )
            for index, receipt in failures
        ],
    )


async def _abort(
    context: Context, code: grpc.StatusCode, message: str, errors: tuple[Issue, ...], retry_after_s: int = 0
) -> None:
    """End the call with a google.rpc.Status that names every error."""
    details = any_pb2.Any()
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=e.field, description=e.message, reason=e.code.value)
        for e in errors[:MAX_BATCH_EVENTS]
    ]
    details.Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(code=code.value[0], message=message[:MAX_DETAIL], details=[details])
    trailer: list[tuple[str, str | bytes]] = [(DETAILS_TRAILER, status.SerializeToString())]
    if retry_after_s:
        trailer.append(("retry-after", str(retry_after_s)))
    await context.abort(code, message[:MAX_DETAIL], tuple(trailer))


def _issues(issues: tuple[Issue, ...]) -> list[pb.Issue]:
    return [pb.Issue(field=issue.field, code=issue.code.value, message=issue.message) for issue in issues]
