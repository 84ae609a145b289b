"""What a door counts of the events it was given: for its health call, and for Prometheus."""

from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import Counter

from schemas.event import Source
from schemas.metrics import EVENTS_PUBLISHED, EVENTS_RECEIVED, VALIDATION_WARNINGS

if TYPE_CHECKING:
    from ingest_api.track import Receipt


class TrackStats:
    """Counts since the process started. `total_events` = kafka_success + kafka_failed + rejected."""

    def __init__(self, door: Source) -> None:
        self.total_events = 0
        self.kafka_success = 0
        self.kafka_failed = 0
        self.rejected = 0
        self.validation_warnings = 0
        self._door = door

    @property
    def success_rate(self) -> float:
        """Per cent of the events sent to Kafka that it acknowledged; 100 while none was sent."""
        sent = self.kafka_success + self.kafka_failed
        return round(100 * self.kafka_success / sent, 3) if sent else 100.0

    def count(self, receipt: "Receipt", tenant: str) -> None:
        """Count one event that was tracked. `tenant` is a metric label: of a bounded set."""
        self.total_events += 1
        if receipt.failure is None:
            self.kafka_success += 1
            _counter(EVENTS_PUBLISHED, self._door, "acknowledged").inc()
        elif receipt.retry_after_s:
            self.kafka_failed += 1
            _counter(EVENTS_PUBLISHED, self._door, "failed").inc()
        else:
            self.rejected += 1
        for warning in receipt.warnings:
            self.validation_warnings += 1
            _counter(VALIDATION_WARNINGS, self._door, warning.code.value).inc()
        _counter(EVENTS_RECEIVED, self._door, tenant, _verdict(receipt)).inc()

    def as_dict(self) -> dict[str, int | float]:
        """The stats as the health call answers them."""
        return {
            "total_events": self.total_events,
            "kafka_success": self.kafka_success,
            "kafka_failed": self.kafka_failed,
            "rejected": self.rejected,
            "validation_warnings": self.validation_warnings,
            "success_rate": self.success_rate,
        }


def _verdict(receipt: "Receipt") -> str:
    if receipt.errors:
        return "rejected" if not receipt.retry_after_s else "unavailable"
    return "warned" if receipt.warnings else "accepted"


@cache
def _counter(metric: Counter, *labels: str) -> Counter:
    """The child of these labels; looking it up in the metric itself costs more than counting."""
    return metric.labels(*labels)
