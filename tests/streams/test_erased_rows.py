"""Rows of what was in flight when its user was erased."""

import msgspec
import pytest

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.erased import Later
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.erased_rows import IN_FLIGHT_MS, RowsUnlessErased
from streams.features.closing import Summary
from streams.rows import Rows, rows_of
from streams.summaries import summary_record
from tests.factories import NOON, make_event
from tests.schemas.test_erased import erased_users
from tests.streams.fakes import FakeRecord, batch_of

USERS = ("ann", "bob", "cyd")


def rows(later: Later, *records: FakeRecord) -> Rows:
    return RowsUnlessErased(erased_users(later, ("acme", "ann")))(batch_of(*records))


def validated(offset: int, user: str, received_at: int = NOON, written_at: int = NOON) -> FakeRecord:
    value = encode_event(make_event(user_id=user, received_at=received_at, offset=offset))
    return FakeRecord(offset, value, "validated-behaviors-acme", key=b"k", timestamp=written_at)


def rejected(offset: int, user: str) -> FakeRecord:
    why = (Issue("action_type", Code.MISSING, "no"),)
    value = msgspec.json.encode({"user_id": user})
    letter = dead_letter(value, why, topic="user-behaviors-acme", partition=0, offset=offset, timestamp=NOON)
    return FakeRecord(offset, encode_dead_letter(letter), "rejected-behaviors-acme", timestamp=NOON)


def test_events_of_before_are_no_rows() -> None:
    for later in Later:
        kept = rows(later, *(validated(n, user) for n, user in enumerate(USERS)))
        assert [record.offset for record in kept.validated] == [1, 2]


def test_letters_of_before_are_no_rows() -> None:
    kept = rows(Later.REFUSE, *(rejected(n, user) for n, user in enumerate(USERS)))
    assert [row[-1] for row in kept.rejected] == [1, 2]


@pytest.mark.parametrize(("later", "kept"), [(Later.ACCEPT, 1), (Later.REFUSE, 0), (Later.PSEUDONYMISE, 0)])
def test_what_was_judged_before_the_judge_heard_goes_by_the_setting(later: Later, kept: int) -> None:
    assert len(rows(later, validated(0, "ann", received_at=NOON + 1))) == kept


def test_a_batch_of_long_after_is_not_looked_at() -> None:
    long_after = NOON + IN_FLIGHT_MS + 1
    record = validated(0, "ann", received_at=long_after, written_at=long_after)
    assert rows(Later.REFUSE, record) == rows_of(batch_of(record))


def test_a_batch_of_erased_users_alone_is_empty_and_what_cannot_be_read_stays() -> None:
    assert len(rows(Later.REFUSE, validated(0, "ann"))) == 0
    broken = FakeRecord(1, b"broken", "validated-behaviors-acme")
    assert [row[-1] for row in rows(Later.REFUSE, validated(0, "ann"), broken).rejected] == [1]


def test_sessions_that_ended_before_are_no_rows() -> None:
    fields = {name: "1" for name in ("session_id", "scenario", "device")}
    fields |= {name: "1" for name in ("started_at", "events", "items", "dwell_ms", "late", "closes_at")}

    def ended(offset: int, user: str) -> FakeRecord:
        outgoing = summary_record("acme", Summary("1-1", user, fields | {"last_at": str(NOON)}))
        return FakeRecord(offset, outgoing.value, "session-summaries-acme")

    assert [row[-1] for row in rows(Later.REFUSE, *(ended(n, user) for n, user in enumerate(USERS))).sessions] == [1, 2]
