"""What of a batch is not kept because of users that were erased: plain functions. No I/O.

Neither an event nor a dead letter goes on that names an erased user: a letter keeps its codes and its place, and
neither the bytes nor the key.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.erased import USER_ERASED, TenantErasures
from schemas.event import Event
from schemas.verdict import Issue, Rejected
from streams.transport import Record


@dataclass(frozen=True, slots=True)
class Bare:
    """A record without what says whose it is; `key` is the pseudonym where it has one."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class _Named(msgspec.Struct, gc=False):
    user_id: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode


def admitted(
    accepted: list[tuple[Record, Event]], erasures: TenantErasures
) -> tuple[list[tuple[Record, Event]], list[tuple[Record, Rejected]]]:
    """The events that may be taken, some under a pseudonym; and the others, without their bytes."""
    if not erasures.among({event.user_id for _, event in accepted}):
        return accepted, []
    taken: list[tuple[Record, Event]] = []
    erased: list[tuple[Record, Rejected]] = []
    for record, event in accepted:
        admitted_event = erasures.admit(event)
        if admitted_event is event:
            taken.append((record, event))
        elif admitted_event is not None:
            taken.append((_bare(record, admitted_event.user_id.encode()), admitted_event))
        else:
            erased.append((_bare(record), Rejected((USER_ERASED,), None, event.scenario_id, event.config_version)))
    return taken, erased


def bared(rejected: Iterable[tuple[Record, Rejected]], erasures: TenantErasures) -> list[tuple[Record, Rejected]]:
    """Rejected records; those whose key or `user_id` is an erased user's are bare, and say nothing but codes."""
    return [
        (_bare(record), _silent(rejection)) if _names_erased(record, erasures) else (record, rejection)
        for record, rejection in rejected
    ]


def _bare(record: Record, key: bytes | None = None) -> Bare:
    return Bare(record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type, key)


def _silent(rejection: Rejected) -> Rejected:
    """The codes alone: a message may quote the event."""
    issues = tuple(Issue(issue.field, issue.code, issue.code.meaning) for issue in rejection.errors)
    return Rejected((*issues, USER_ERASED), None, rejection.scenario_id, rejection.config_version)


def _names_erased(record: Record, erasures: TenantErasures) -> bool:
    key = None if record.key is None else record.key.decode(errors="replace")
    return bool(erasures.among(name for name in (key, named_user(record.value or b"")) if name))


def named_user(value: bytes) -> str | None:
    """The `user_id` of a JSON object that need be no event, a number as its digits; None where there is none."""
    try:
        user = _decode_named(value).user_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return str(user) if isinstance(user, str | int) else None
