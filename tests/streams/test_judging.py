"""What a raw batch becomes."""

import msgspec
import pytest

from schemas.dead_letter import decode_dead_letter
from schemas.event import Event
from schemas.validated import decode_event
from schemas.verdict import Rejected
from streams.judging import MAX_ORIGINAL_BYTES, cure_of, judge_records, judgement, tenant_of_raw
from tests.factories import NOON, make_body
from tests.streams.fakes import FakeJudge, FakeRecord, batch_of
from tests.tracking_configs.factories import make_registry, template_config
from tracking_configs.judge import Arrival, Judge
from tracking_configs.raw_records import arrival_of


def test_accepted_events_keep_the_raw_key_order_and_place() -> None:
    batch = batch_of(FakeRecord(5, b"ann", key=b"k1"), FakeRecord(6, b"bad"), FakeRecord(7, b"bob", key=None))
    result = judgement(batch, FakeJudge())
    events = [decode_event(outgoing.value) for outgoing in result.validated]
    assert [(event.user_id, event.partition, event.offset) for event in events] == [("ann", 0, 5), ("bob", 0, 7)]
    assert [outgoing.key for outgoing in result.validated] == [b"k1", None]
    assert result.verdicts == {"accepted": 2, "rejected": 1}


def test_a_tombstone_is_a_dead_letter() -> None:
    (outgoing,) = judgement(batch_of(FakeRecord(3, None, key=b"u9")), FakeJudge()).rejected
    letter = decode_dead_letter(outgoing.value)
    assert outgoing.key == b"u9"
    assert (letter.reason_codes, letter.original_bytes, letter.offset) == (("empty",), b"", 3)
    assert letter.timestamp == NOON


def test_an_event_that_cannot_be_stored_poisons_nothing() -> None:
    batch = batch_of(FakeRecord(0, b"huge"), FakeRecord(1, b"ann"), FakeRecord(2, b"bad"))
    result = judgement(batch, FakeJudge())
    assert len(result.validated) == 1
    letters = [decode_dead_letter(outgoing.value) for outgoing in result.rejected]
    assert [(letter.offset, letter.reason_codes) for letter in letters] == [(0, ("out_of_range",)), (2, ("missing",))]
    assert result.verdicts == {"accepted": 1, "rejected": 2}
    assert [event.offset for event in result.events] == [1]
    assert [rejection.errors[0].code.value for rejection in result.rejections] == ["out_of_range", "missing"]


def test_a_dead_letter_says_whose_event_it_was_and_which_config_judged_it() -> None:
    config = template_config("video", "strict_feed", enforcement="reject")
    body = make_body(scenario_id="strict_feed", action_type="play_end", scenario_data={"video_data": {"duration": 0}})
    batch = batch_of(FakeRecord(0, msgspec.json.encode(body)), FakeRecord(1, b"{"))
    letters = [decode_dead_letter(out.value) for out in judgement(batch, Judge(make_registry(config))).rejected]
    assert [(letter.scenario_id, letter.config_version) for letter in letters] == [("strict_feed", 1), (None, 0)]
    assert letters[0].reason_codes == ("out_of_range", "missing")


def test_a_dead_letter_of_a_huge_record_fits_into_a_topic() -> None:
    record = FakeRecord(0, b"x" * (MAX_ORIGINAL_BYTES + 1), key=b"k" * 100_000)

    class TooLarge(FakeJudge):
        def judge(self, value: bytes | None, arrival: Arrival) -> Event | Rejected:
            return super().judge(b"bad", arrival)

    (outgoing,) = judgement(batch_of(record), TooLarge()).rejected
    letter = decode_dead_letter(outgoing.value)
    assert outgoing.key is None
    assert len(outgoing.value) < 1024 * 1024
    assert letter.original_bytes == b"x" * MAX_ORIGINAL_BYTES
    assert letter.reason_codes == ("missing", "too_large")


@pytest.mark.parametrize(
    ("headers", "source"),
    [
        ((), "kafka"),
        ((("millrace-source", b"http"),), "http"),
        ((("millrace-source", b"grpc"), ("other", b"x")), "grpc"),
        ((("millrace-source", b"carrier pigeon"),), "kafka"),
        ((("millrace-source", None),), "kafka"),
    ],
)
def test_the_source_is_what_our_doors_say(headers: tuple[tuple[str, bytes], ...], source: str) -> None:
    assert arrival_of(FakeRecord(0, headers=headers), "acme").source == source


def test_only_accepted_events_are_features() -> None:
    batch = batch_of(FakeRecord(0, b"ann"), FakeRecord(1, b"bad"), FakeRecord(2, None))
    assert [event.user_id for _, event in judge_records(batch.records, "acme", FakeJudge()).accepted] == ["ann"]


def test_a_topic_of_no_tenant_is_refused() -> None:
    assert tenant_of_raw("user-behaviors-acme") == "acme"
    with pytest.raises(ValueError, match="not the raw topic"):
        tenant_of_raw("user-behaviors-health")


def test_a_tenant_is_cured_when_most_of_what_was_refused_would_be_accepted() -> None:
    def play(number: int) -> FakeRecord:
        data = {"video_data": {"duration": number, "watch_duration": 1, "completion_rate": 0.5}}
        return FakeRecord(number, msgspec.json.encode(make_body(action_type="play_end", scenario_data=data)))

    config = template_config("video", enforcement="reject", fields={"duration": {"min_value": 60}})
    registry = make_registry(config)
    batch = batch_of(*map(play, range(100)), FakeRecord(100, b"{"), FakeRecord(101, b"x" * 100_000))
    judge = Judge(registry)
    refused = judgement(batch, judge).refused
    assert [record.offset for record in refused] == [*range(60), 100, 101]
    cured = cure_of(judge, batch, refused)
    assert not cured()
    registry.apply(msgspec.structs.replace(template_config("video", enforcement="reject"), version=2))
    assert cured()  # all but the first, whose duration is 0, and what is no event
    assert not cure_of(judge, batch, [])()
    assert not cure_of(judge, batch, refused[-1:])()
