"""Trace ids: every request has an OpenTelemetry span, continued from the caller's W3C `traceparent` if there is one."""

from functools import cache

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import ProxyTracerProvider, Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_NAME = "millrace.ingest_api"
_propagator = TraceContextTextMapPropagator()


@cache
def tracer() -> Tracer:
    """The process's tracer; where none was set up, one whose spans have ids and go nowhere."""
    provider = trace.get_tracer_provider()
    return (TracerProvider() if isinstance(provider, ProxyTracerProvider) else provider).get_tracer(_NAME)


def start_span(name: str, traceparent: str | None) -> Span:
    """A server span; ended by the caller. A malformed `traceparent` begins a trace of its own."""
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    return tracer().start_span(name, context=parent, kind=trace.SpanKind.SERVER)


def trace_id() -> str:
    """The current trace's id, 32 hex digits."""
    return format(trace.get_current_span().get_span_context().trace_id, "032x")


def traceparent() -> str | None:
    """The current span as a `traceparent` header, None outside of one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
