"""Tracing: OpenTelemetry spans get ids always, and are sent only where OTEL_EXPORTER_OTLP_ENDPOINT names a collector.

The OTEL_* variables are OpenTelemetry's own (its SDK reads them); they are no settings of the platform.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def tracing(role: str) -> Iterator[TracerProvider]:
    """A tracer provider for this process, named `millrace-{role}`; what is left to send is sent at the end."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"millrace-{role}"}))
    if os.environ.get(ENDPOINT_VARIABLE):
        # Imported only here: the exporter brings its HTTP client and protobuf messages.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield provider
    finally:
        provider.shutdown()
