"""Behaviours: track, track/batch, validate, health."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request

from ingest_api.api_codes import ApiCode
from ingest_api.deps import HttpDeps
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse, failed, retry_after
from ingest_api.http.describe import BATCH, TRACK, VALIDATE
from ingest_api.http.health_describe import BEHAVIOURS_HEALTH
from ingest_api.http.raw_route import RawRoute
from ingest_api.http.tenants import named_tenant
from ingest_api.tracing import trace_id, traceparent
from ingest_api.track import Failure, Receipt, TrackService
from schemas.limits import MAX_BATCH_EVENTS
from schemas.verdict import Code, Issue


class BatchBody(msgspec.Struct):
    """A batch before its events are looked at: each stays the bytes that the client sent."""

    events: list[msgspec.Raw]


_decode_batch = msgspec.json.Decoder(BatchBody).decode


def track_router(deps: HttpDeps, service: TrackService) -> APIRouter:
    """The calls of one track service."""
    router = APIRouter(prefix="/api/v1/behaviors", tags=["behaviours"], route_class=RawRoute)
    default = deps.settings.default_tenant

    @router.post("/track", **TRACK)
    async def track(request: Request) -> JsonResponse:
        body = await request.body()
        return answer(await service.track(body, named_tenant(request, default), traceparent()), request.url.path)

    @router.post("/track/batch", **BATCH)
    async def track_batch(request: Request) -> JsonResponse:
        bodies = read_batch(await request.body())
        receipts = await service.track_batch(bodies, named_tenant(request, default), traceparent())
        return batch_answer(receipts)

    @router.post("/validate", **VALIDATE)
    async def validate(request: Request) -> JsonResponse:
        body = await request.body()
        return answer(await service.validate(body, named_tenant(request, default)), request.url.path)

    @router.get("/health", **BEHAVIOURS_HEALTH)
    async def health(_: Request) -> JsonResponse:
        available = await deps.publisher.is_available()
        status = "healthy" if available else "degraded"
        return JsonResponse({"status": status, "kafka_available": available, "stats": service.stats.as_dict()})

    return router


def read_batch(body: bytes) -> list[bytes]:
    """The events of a batch, each its own bytes. Raises RequestRefused."""
    try:
        events = _decode_batch(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        code = Code.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else Code.INVALID_JSON
        raise _refused("events" if code is Code.WRONG_TYPE else "", code, str(error)) from error
    if not events:
        raise _refused("events", Code.TOO_SHORT, "a batch has at least one event")
    if len(events) > MAX_BATCH_EVENTS:
        raise _refused(
            "events", Code.TOO_LONG, f"a batch has at most {MAX_BATCH_EVENTS} events, this has {len(events)}"
        )
    return [bytes(event) for event in events]


def answer(receipt: Receipt, path: str) -> JsonResponse:
    """The answer to one event."""
    if receipt.failure is None:
        content: dict[str, Any] = {"success": True, "event_id": receipt.event_id, "message": receipt.message}
        if receipt.warnings:
            content["validation_warnings"] = receipt.warnings
        return JsonResponse(content)
    unavailable = receipt.failure is Failure.UNAVAILABLE
    too_large = any(error.code is Code.TOO_LARGE and not error.field for error in receipt.errors)
    return failed(
        path,
        503 if unavailable else 413 if too_large else 400,
        receipt.message,
        code=ApiCode.BROKER_UNAVAILABLE if unavailable else ApiCode.EVENT_REFUSED,
        errors=receipt.errors,
        event_id=receipt.event_id,
        headers=retry_after(receipt.retry_after_s) if unavailable else None,
    )


def batch_answer(receipts: list[Receipt]) -> JsonResponse:
    """The answer to a batch: 503 where none was taken and Kafka's absence is the reason for one of them."""
    failures = [_line(index, receipt) for index, receipt in enumerate(receipts) if receipt.failure is not None]
    waits = [receipt.retry_after_s for receipt in receipts if receipt.failure is Failure.UNAVAILABLE]
    content: dict[str, Any] = {
        "success": not failures,
        "total": len(receipts),
        "succeeded": len(receipts) - len(failures),
        "failed": len(failures),
    }
    if failures:
        content["errors"] = failures
    if waits and len(failures) == len(receipts):
        content |= {"message": "Kafka does not answer: no event is known to be taken", "trace_id": trace_id()}
        return JsonResponse(content, 503, retry_after(max(waits)))
    return JsonResponse(content)


def _line(index: int, receipt: Receipt) -> dict[str, Any]:
    line: dict[str, Any] = {"index": index}
    if receipt.event_id is not None:
        line["event_id"] = receipt.event_id
    return line | {"message": receipt.message, "errors": receipt.errors}


def _refused(field: str, code: Code, message: str) -> RequestRefused:
    return RequestRefused(ApiCode.INVALID_REQUEST, message, (Issue(field, code, message),))
