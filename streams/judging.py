"""Judging a batch: plain functions from records to accepted events and dead letters. No I/O."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.erased import ErasedUsers
from schemas.event import Event
from schemas.limits import MAX_EVENT_BYTES
from schemas.topics import RAW_PREFIX, tenant_of
from schemas.validated import encode_event
from schemas.verdict import Code, Issue, Rejected
from streams.erased import admitted, bared
from streams.publisher import Outgoing
from streams.transport import Batch, Record

log = structlog.get_logger()

# A dead letter fits into what a broker takes by default (1 MiB), base64 included. An event that long is refused
# for its length anyway, so nothing that could be replayed is cut.
MAX_ORIGINAL_BYTES: Final = 512 * 1024
MAX_KEY_BYTES: Final = 64 * 1024
MAX_EVIDENCE: Final = 100  # of the refused records that parked a tenant


class Judging(Protocol):
    """What is asked of `tracking_configs.judge.Judge`, or of a `LeanJudge` where no texts are needed."""

    erased: ErasedUsers

    def judge_all(self, records: Iterable[Record], tenant: str) -> Iterable[Event | Rejected]: ...


@dataclass(slots=True)
class Judged:
    """A batch's verdicts, each list in offset order. `erased`: good events whose users were erased."""

    accepted: list[tuple[Record, Event]] = field(default_factory=list)
    rejected: list[tuple[Record, Rejected]] = field(default_factory=list)
    erased: list[tuple[Record, Rejected]] = field(default_factory=list)


@dataclass(slots=True)
class Judgement:
    """What is to be written for a batch, what that was made of, and how many events had which verdict.

    An erased user's events are among `rejected` and `verdicts` alone: they are no fault of the tenant's.
    """

    validated: list[Outgoing] = field(default_factory=list)
    rejected: list[Outgoing] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejections: list[Rejected] = field(default_factory=list)
    refused: list[Record] = field(default_factory=list)  # the records of `rejections`
    verdicts: Counter[str] = field(default_factory=Counter)


def judge_records(records: Sequence[Record], tenant: str, judge: Judging) -> Judged:
    """Every record of one tenant's raw topic, judged; one without a value is rejected as empty."""
    judged = Judged()
    for record, verdict in zip(records, judge.judge_all(records, tenant), strict=True):
        if isinstance(verdict, Event):
            judged.accepted.append((record, verdict))
        else:
            judged.rejected.append((record, verdict))
    erasures = judge.erased.of(tenant)
    if erasures is not None:
        judged.accepted, judged.erased = admitted(judged.accepted, erasures)
        judged.rejected = bared(judged.rejected, erasures)
    return judged


def judgement(batch: Batch, judge: Judging) -> Judgement:
    """The validated records and dead letters of a batch of a raw topic."""
    tenant = tenant_of_raw(batch.topic)
    judged = judge_records(batch.records, tenant, judge)
    result = Judgement()
    for record, event in judged.accepted:
        try:
            value = encode_event(event)
        except (ValueError, TypeError, OverflowError) as error:  # a number that Avro's long cannot hold, say
            log.error("event_not_encodable", tenant=tenant, partition=record.partition, offset=record.offset)
            judged.rejected.append((record, _not_encodable(event, error)))
            continue
        result.validated.append(Outgoing(record.key, value))
        result.events.append(event)
        result.verdicts["warned" if event.validation_warnings else "accepted"] += 1
    for record, rejection in sorted(judged.rejected, key=_offset):
        result.rejections.append(rejection)
        result.refused.append(record)
        result.verdicts["rejected"] += 1
    for record, rejection in sorted(judged.rejected + judged.erased, key=_offset):
        result.rejected.append(letter_of(record, rejection))
    if judged.erased:
        result.verdicts["erased"] = len(judged.erased)
    return result


def _offset(rejected: tuple[Record, Rejected]) -> int:
    return rejected[0].offset


def cure_of(judge: Judging, batch: Batch, refused: Sequence[Record]) -> Callable[[], bool]:
    """Whether the judge accepts by now most of what it refused last in a batch; too large an event it never will."""
    evidence = [record for record in refused[-MAX_EVIDENCE:] if len(record.value or b"") <= MAX_EVENT_BYTES]
    sample = Batch(batch.tp, evidence, batch.epoch, batch.place)
    return lambda: 2 * len(judgement(sample, judge).validated) > len(evidence)


def letter_of(record: Record, rejection: Rejected) -> Outgoing:
    """The dead letter of a record, under its own key."""
    value, errors = record.value, rejection.errors
    if value is not None and len(value) > MAX_ORIGINAL_BYTES:
        cut = f"only the first {MAX_ORIGINAL_BYTES} of {len(value)} bytes are kept"
        errors, value = (*errors, Issue("", Code.TOO_LARGE, cut)), value[:MAX_ORIGINAL_BYTES]
    letter = dead_letter(
        value,
        errors,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        scenario_id=rejection.scenario_id,
        config_version=rejection.config_version,
    )
    key = record.key if record.key is None or len(record.key) <= MAX_KEY_BYTES else None
    return Outgoing(key, encode_dead_letter(letter))


def _not_encodable(event: Event, error: Exception) -> Rejected:
    issue = Issue("", Code.OUT_OF_RANGE, f"cannot be stored: {error}"[:500])
    return Rejected((issue,), event.event_id, event.scenario_id, event.config_version)


def tenant_of_raw(topic: str) -> str:
    """Raises ValueError for a topic that is no tenant's, which the app's pattern should have kept away."""
    tenant = tenant_of(topic, RAW_PREFIX)
    if tenant is None:
        raise ValueError(f"{topic!r} is not the raw topic of a tenant")
    return tenant
