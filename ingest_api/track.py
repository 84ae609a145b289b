"""Tracking, the one service function behind both doors: judge an event, publish it, answer with a receipt."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from ingest_api.erased_events import body_of, unless_erased
from ingest_api.errors import BrokerUnavailable, TenantUnknown
from ingest_api.publisher import Publisher
from ingest_api.track_stats import TrackStats
from schemas.clock import Clock
from schemas.event import Event, Source
from schemas.lag import OTHERS
from schemas.limits import MAX_EVENT_BYTES
from schemas.quality import QUALITY
from schemas.verdict import Code, Issue, Rejected
from tracking_configs.judge import Arrival, Judge, wire_value

TRACKED = "Event tracked successfully"


class Failure(StrEnum):
    """Why an event was not taken: it is bad, or Kafka is away."""

    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event. `event_id` is None only where the event has none that can be read."""

    event_id: str | None
    message: str = TRACKED
    errors: tuple[Issue, ...] = ()
    warnings: tuple[Issue, ...] = ()
    failure: Failure | None = None
    retry_after_s: int = 0

    @property
    def success(self) -> bool:
        return self.failure is None


class _Named(msgspec.Struct, gc=False):
    tenant_id: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode


class TrackService:
    """Tracks events that came by one door."""

    def __init__(self, judge: Judge, publisher: Publisher, clock: Clock, door: Source) -> None:
        self.stats = TrackStats(door)
        self._judge = judge
        self._publisher = publisher
        self._clock = clock
        self._door = door

    async def track(self, body: bytes, tenant: str | None, traceparent: str | None = None) -> Receipt:
        """Take one event, `body` being its JSON. `tenant` is that of an event which names none."""
        verdict = self._judge_at_door(body, tenant)
        if isinstance(verdict, Rejected):
            receipt = rejected(verdict)
        else:
            receipt = await self._publish(verdict, body_of(verdict, body), traceparent)
        label = self._label(verdict, body, tenant)
        self.stats.count(receipt, label)
        if receipt.failure is Failure.REJECTED:
            QUALITY.count("door", label, (), (_rejection(verdict, receipt),))
        return receipt

    async def track_batch(
        self, bodies: Sequence[bytes], tenant: str | None, traceparent: str | None = None
    ) -> list[Receipt]:
        """A receipt for each event, in their order; bad ones do not keep good ones back."""
        return await asyncio.gather(*(self.track(body, tenant, traceparent) for body in bodies))

    async def validate(self, body: bytes, tenant: str | None) -> Receipt:
        """The receipt that `track` would give now, and nothing sent. Kafka's absence shows for new tenants only."""
        verdict = self._judge_at_door(body, tenant)
        if isinstance(verdict, Rejected):
            return rejected(verdict)
        try:
            await self._publisher.check(verdict.tenant_id)
        except (TenantUnknown, BrokerUnavailable) as error:
            return _refused(verdict, error)
        return accepted(verdict)

    def _judge_at_door(self, body: bytes, tenant: str | None) -> Event | Rejected:
        arrival = Arrival(source=self._door, received_at=self._clock(), tenant=tenant)
        verdict = self._judge.judge(body, arrival)
        if isinstance(verdict, Event):
            erasures = self._judge.erased.of(verdict.tenant_id)
            return verdict if erasures is None else unless_erased(verdict, erasures)
        return verdict

    async def _publish(self, event: Event, body: bytes, traceparent: str | None) -> Receipt:
        value = wire_value(body, event)
        if len(value) > MAX_EVENT_BYTES:  # what the door fills in counts: the stream holds the same bound
            return rejected(too_large(event.event_id))
        try:
            await self._publisher.publish(event.tenant_id, event.user_id, value, self._door, traceparent)
        except (TenantUnknown, BrokerUnavailable) as error:
            return _refused(event, error)
        return accepted(event)

    def _label(self, verdict: Event | Rejected, body: bytes, tenant: str | None) -> str:
        """The event's tenant as a metric's label: only those that exist, so that callers cannot make labels."""
        name = verdict.tenant_id if isinstance(verdict, Event) else _named_tenant(body) or tenant
        return name if name is not None and self._publisher.knows(name) else OTHERS


def accepted(event: Event) -> Receipt:
    return Receipt(event_id=event.event_id, warnings=event.validation_warnings)


def rejected(verdict: Rejected) -> Receipt:
    return Receipt(
        event_id=verdict.event_id,
        message=sentence(verdict.errors),
        errors=verdict.errors,
        failure=Failure.REJECTED,
    )


def too_large(event_id: str | None = None) -> Rejected:
    return Rejected((Issue("", Code.TOO_LARGE, f"the event is larger than {MAX_EVENT_BYTES} bytes"),), event_id)


def sentence(errors: Sequence[Issue]) -> str:
    """All errors in one line, for people."""
    return "Event rejected: " + "; ".join(f"{error.field or 'event'}: {error.message}" for error in errors)


def _named_tenant(body: bytes) -> str | None:
    """The tenant that a rejected event names."""
    try:
        name = _decode_named(body).tenant_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return name if isinstance(name, str) else None


def _rejection(verdict: Event | Rejected, receipt: Receipt) -> Rejected:
    """What was rejected, be it by the judge or on the way to Kafka."""
    if isinstance(verdict, Rejected):
        return verdict
    return Rejected(receipt.errors, verdict.event_id, verdict.scenario_id, verdict.config_version)


def _refused(event: Event, error: TenantUnknown | BrokerUnavailable) -> Receipt:
    if isinstance(error, TenantUnknown):
        return rejected(Rejected((error.issue,), event.event_id))
    advice = f"; send it again as {event.event_id}, so that it counts once" if error.outcome_unknown else ""
    return Receipt(
        event_id=event.event_id,
        message=str(error) + advice,
        errors=(Issue("", Code.BROKER_UNAVAILABLE, str(error)),),
        failure=Failure.UNAVAILABLE,
        retry_after_s=error.retry_after_s,
    )
