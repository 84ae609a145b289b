"""What a batch keeps of erased users: nothing."""

from typing import Any

import msgspec

from schemas.dead_letter import decode_dead_letter
from schemas.erased import Later
from schemas.validated import decode_event
from streams.judging import judge_records, judgement
from tests.factories import NOON, make_body
from tests.schemas.test_erased import erased_users
from tests.streams.fakes import FakeRecord, batch_of
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

BEFORE, AFTER = NOON - 1, NOON + 1


def judge(later: Later) -> Judge:
    return Judge(ConfigRegistry(), erased=erased_users(later, ("acme", "ann"), ("acme", "7")))


def record(offset: int, user: str, timestamp: int = AFTER, **fields: object) -> FakeRecord:
    body = make_body(user_id=user, event_id=f"e{offset}", **fields)
    return FakeRecord(offset, msgspec.json.encode(body), key=user.encode(), timestamp=timestamp)


def test_a_refused_event_leaves_a_letter_with_its_place_and_no_word_of_it() -> None:
    result = judgement(batch_of(record(0, "ann"), record(1, "bob"), record(2, "ann")), judge(Later.REFUSE))
    assert [decode_event(outgoing.value).user_id for outgoing in result.validated] == ["bob"]
    letters = [decode_dead_letter(outgoing.value) for outgoing in result.rejected]
    assert [(letter.offset, letter.reason_codes) for letter in letters] == [
        (0, ("user_erased",)),
        (2, ("user_erased",)),
    ]
    assert [(letter.original, letter.scenario_id) for letter in letters] == [("", "vlog_feed")] * 2
    assert [outgoing.key for outgoing in result.rejected] == [None, None]
    assert not any(b"ann" in outgoing.value for outgoing in result.rejected)
    assert result.verdicts == {"warned": 1, "erased": 2}


def test_refused_events_of_erased_users_park_no_tenant() -> None:
    result = judgement(batch_of(*(record(offset, "ann") for offset in range(3))), judge(Later.REFUSE))
    assert (result.refused, result.rejections) == ([], [])


def test_a_pseudonymised_event_goes_on_under_its_pseudonym_as_key() -> None:
    result = judgement(batch_of(record(0, "ann"), record(1, "bob")), judge(Later.PSEUDONYMISE))
    first, second = (decode_event(outgoing.value).user_id for outgoing in result.validated)
    assert first.startswith("anon_")
    assert [outgoing.key for outgoing in result.validated] == [first.encode(), b"bob"]
    assert second == "bob"
    assert b"ann" not in result.validated[0].value


def test_an_event_in_flight_at_the_erasure_is_no_feature_whatever_the_setting() -> None:
    batch = batch_of(record(0, "ann", BEFORE), record(1, "bob", BEFORE), record(2, "ann"))
    judged = {later: judge_records(batch.records, "acme", judge(later)) for later in Later}
    taken = {later: [event.offset for _, event in of_setting.accepted] for later, of_setting in judged.items()}
    assert taken == {Later.ACCEPT: [1, 2], Later.REFUSE: [1], Later.PSEUDONYMISE: [1, 2]}


def test_a_bad_event_that_names_an_erased_user_keeps_its_codes_alone() -> None:
    bad: dict[str, Any] = {"action_type": None}
    batch = batch_of(
        record(0, "ann", **bad),
        record(1, "bob", **bad),
        FakeRecord(2, b"{", key=b"ann"),
        FakeRecord(3, b'{"user_id": 7}', key=None),
        FakeRecord(4, b"\xff", key=b"\xff"),
    )
    result = judgement(batch, judge(Later.REFUSE))
    letters = [decode_dead_letter(outgoing.value) for outgoing in result.rejected]
    assert [letter.original == "" for letter in letters] == [True, False, True, True, False]
    assert letters[0].reason_codes == ("missing", "user_erased")
    assert "invalid_json" in letters[2].reason_codes
    assert [outgoing.key for outgoing in result.rejected] == [None, b"bob", None, None, b"\xff"]
    assert len(result.refused) == 5  # these count against the tenant as ever


def test_letters_stand_in_the_order_of_their_records() -> None:
    batch = batch_of(record(0, "ann"), FakeRecord(1, b"bad"), record(2, "ann"), FakeRecord(3, b"bad"))
    letters = [decode_dead_letter(outgoing.value) for outgoing in judgement(batch, judge(Later.REFUSE)).rejected]
    assert [letter.offset for letter in letters] == [0, 1, 2, 3]
