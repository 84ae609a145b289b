"""Identifiers the platform makes."""

import re

from schemas.ids import new_event_id, new_request_id, replayable_event_id


def test_a_replay_of_a_raw_record_makes_the_same_id() -> None:
    one = replayable_event_id("user-behaviors-acme", 3, 17, b"{}")
    assert one == replayable_event_id("user-behaviors-acme", 3, 17, b"{}")
    assert re.fullmatch(r"evt_[0-9a-f]{16}", one)


def test_each_part_of_the_position_matters() -> None:
    made = {
        replayable_event_id(*part) for part in [("t", 0, 1, b""), ("t", 1, 0, b""), ("u", 0, 1, b""), ("t", 0, 1, b"x")]
    }
    assert len(made) == 4


def test_made_ids_have_their_contract_form_and_differ() -> None:
    assert re.fullmatch(r"evt_[0-9a-f]{16}", new_event_id())
    assert re.fullmatch(r"req_[0-9a-f]{16}", new_request_id())
    assert new_event_id() != new_event_id()
