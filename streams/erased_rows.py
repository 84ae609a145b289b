"""Rows of a batch without those of erased users: what was judged before the judge had heard of the erasure, and what
Kafka hands out again after ClickHouse lost data. A batch written well after the last erasure is not looked at.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from schemas.dead_letter import decode_dead_letter
from schemas.erased import ErasedUsers, TenantErasures
from schemas.single_object import load_codec
from schemas.topics import REJECTED_PREFIX, SUMMARIES_PREFIX, VALIDATED_PREFIX
from schemas.validated import decode_event
from streams.erased import named_user
from streams.rows import NOT_A_RECORD, Rows, rows_of, tenant_of_rows
from streams.transport import Batch, Record

IN_FLIGHT_MS: Final = 10_000  # how long after an erasure records may be written of what was judged before it
_SUMMARY: Final = load_codec("session_summary")

Owner = Callable[[Record], tuple[str, int]]
"""Whose a record is, "" where it names nobody, and of which moment, ms."""


class RowsUnlessErased:
    """`streams.rows.rows_of`, but for what is to be forgotten."""

    def __init__(self, erased: ErasedUsers) -> None:
        self._erased = erased

    def __call__(self, batch: Batch) -> Rows:
        erasures = self._erased.of(tenant_of_rows(batch.topic))
        if erasures is None or batch.records[0].timestamp > erasures.newest_ms + IN_FLIGHT_MS:
            return rows_of(batch)
        owner = next(owner for prefix, owner in OWNERS.items() if batch.topic.startswith(prefix))
        kept = [record for record in batch.records if not _is_forgotten(record, owner, erasures)]
        return rows_of(replace(batch, records=kept))


def _is_forgotten(record: Record, owner: Owner, erasures: TenantErasures) -> bool:
    try:
        user, at_ms = owner(record)
    except NOT_A_RECORD:
        return False
    return bool(user) and erasures.forgets(user, at_ms)


def _of_event(record: Record) -> tuple[str, int]:
    event = decode_event(record.value or b"")
    return event.user_id, event.received_at


def _of_summary(record: Record) -> tuple[str, int]:
    summary = _SUMMARY.decode(record.value or b"")
    return summary["user_id"], summary["ended_at"]


def _of_letter(record: Record) -> tuple[str, int]:
    letter = decode_dead_letter(record.value or b"")
    return named_user(letter.original_bytes) or "", letter.timestamp


OWNERS: Final[dict[str, Owner]] = {
    VALIDATED_PREFIX: _of_event,
    SUMMARIES_PREFIX: _of_summary,
    REJECTED_PREFIX: _of_letter,
}
