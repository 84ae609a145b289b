"""The behaviour event as accepted (CONTRACTS §1): normalised, and carrying what the platform added."""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.verdict import Issue


class DeviceType(StrEnum):
    MOBILE = "mobile"
    PC = "pc"
    TABLET = "tablet"


class Source(StrEnum):
    """The door an event came by."""

    HTTP = "http"
    GRPC = "grpc"
    KAFKA = "kafka"


class Context(msgspec.Struct, frozen=True, gc=False):
    """The parts of `context` that have a name of their own; `Event.context_json` keeps the whole."""

    device_type: str
    os: str | None = None
    location: str | None = None
    ip: str | None = None
    scene: str | None = None
    request_id: str | None = None


class Event(msgspec.Struct, gc=False):
    """One accepted event.

    `timestamp` is event time, `received_at` processing time at the platform's edge; both are ms UTC.
    `context_json`, `scenario_data` and `extra_data` are JSON text as the client sent it (a device alias
    and enum aliases replaced). `weight`, `positive`, `dwell_ms`, `completion` (0 to 1) and `category` are the signals
    that the scenario's config draws from the event, so that no later step needs the config.
    """

    event_id: str
    tenant_id: str
    scenario_id: str
    user_id: str
    item_id: str
    action_type: str
    timestamp: int
    context: Context
    context_json: str
    experiment_id: str | None = None
    experiment_group: str | None = None
    position: int | None = None
    scenario_data: str | None = None
    extra_data: str | None = None
    received_at: int = 0
    source: str = Source.KAFKA
    scenario_type: str = "custom"
    config_version: int = 0
    validation_warnings: tuple[Issue, ...] = ()
    weight: float = 0.0
    positive: bool = False
    dwell_ms: int = 0
    completion: float | None = None
    category: str | None = None
    partition: int = -1
    offset: int = -1

    def as_dict(self) -> dict[str, Any]:
        """The event as plain values, nested structs included; for printing, not for the hot path."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
