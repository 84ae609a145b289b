"""What every call passes: a span, a latency, and the trace id in the trailer."""

import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final, TypeAlias

import grpc
from opentelemetry import trace
from prometheus_client import Histogram

from ingest_api.tracing import start_span
from schemas.metrics import DOOR_LATENCY

TRACEPARENT: Final = "traceparent"

# Generic in grpc's stubs alone.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]"


class Observed(grpc.aio.ServerInterceptor):
    """Wraps the unary calls; streams (reflection, health's watch) pass as they are."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        call, inner = handler_call_details.method, handler.unary_unary
        parent = next(
            (value for name, value in handler_call_details.invocation_metadata or () if name == TRACEPARENT), None
        )

        async def observed(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            with trace.use_span(
                start_span(call, str(parent) if parent else None), end_on_exit=True, record_exception=False
            ):
                try:
                    return await inner(request, context)
                finally:
                    _latency(call).observe(time.perf_counter() - started)

        return grpc.unary_unary_rpc_method_handler(observed, handler.request_deserializer, handler.response_serializer)


@cache
def _latency(call: str) -> Histogram:
    return DOOR_LATENCY.labels("grpc", call)
