"""The clients of the doors: what they send, count and refuse."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.send import Lines
from infra.doors.door import UNAVAILABLE, DoorName, Outcome, Refusal
from infra.doors.kafka import key_of
from infra.doors.proto_event import NotExpressibleError, proto_event
from infra.doors.sending import send_all
from ingest_api.grpc_door.translate import event_json
from schemas.actions import BUILT_IN_ACTIONS
from tests.factories import make_body

TEXT = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


class MemoryDoor:
    """Takes what begins with g, refuses what begins with b, and has no broker for the rest."""

    name: DoorName = "http"
    batch_size = 7
    calls = 3

    def __init__(self) -> None:
        self.batches: list[Sequence[bytes]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, events: Sequence[bytes]) -> Outcome:
        await asyncio.sleep(0)
        self.batches.append(events)
        bad = sum(event.startswith(b"b") for event in events)
        good = sum(event.startswith(b"g") for event in events)
        away = len(events) - bad - good
        refusals = (Refusal("bad", ("missing",)),) * bad + (Refusal("away", (UNAVAILABLE,)),) * away
        return Outcome(good, refusals)


@given(st.lists(st.sampled_from([b"good", b"bad", b"away"]), max_size=60))
async def test_every_event_is_sent_once_and_counted_once(events: list[bytes]) -> None:
    door = MemoryDoor()
    sent = await send_all(door, events)
    assert sorted(event for batch in door.batches for event in batch) == sorted(events)
    assert (sent.taken, sent.rejected, sent.unavailable) == tuple(map(events.count, (b"good", b"bad", b"away")))
    assert sent.total == len(events)
    assert len(sent.latencies_s) == len(door.batches)


async def test_a_rate_is_kept() -> None:
    sent = await send_all(MemoryDoor(), [b"good"] * 60, rate=200)
    assert 100 < sent.per_second < 240


async def test_a_door_that_is_away_ends_the_sending() -> None:
    class Away(MemoryDoor):
        async def send(self, events: Sequence[bytes]) -> Outcome:
            raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        await send_all(Away(), [b"good"] * 100)


@given(
    st.fixed_dictionaries(
        {"action_type": st.sampled_from([*sorted(BUILT_IN_ACTIONS), "wave"]), "user_id": TEXT},
        optional={
            "position": st.integers(0, 2**31),
            "experiment_id": TEXT,
            "extra_data": st.dictionaries(TEXT, st.integers(-1000, 1000), min_size=1),
            "scenario_data": st.just({"video_data": {"duration": 12, "is_muted": False, "seek_positions": [1, 2]}}),
            "context": st.just({"device_type": "tablet", "os": "iOS", "app": "3.1"}),
        },
    )
)
def test_an_event_is_the_same_over_grpc(fields: dict[str, Any]) -> None:
    body = make_body(**fields)
    assert msgspec.json.decode(event_json(proto_event(msgspec.json.encode(body)))) == body


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1]",
        msgspec.json.encode(make_body(user_id=7)),
        msgspec.json.encode(make_body(timestamp="noon")),
        msgspec.json.encode(make_body(scenario_data={"video_data": {"undeclared": 1}})),
    ],
)
def test_what_protobuf_cannot_say_is_not_sent_in_part(line: bytes) -> None:
    with pytest.raises(NotExpressibleError):
        proto_event(line)


def test_the_key_of_a_raw_event_is_its_user() -> None:
    assert key_of(b'{"user_id": "\xc3\xa9va"}') == "éva".encode()
    assert key_of(b'{"user_id": 7}') is None
    assert key_of(b"nonsense") is None


def test_a_line_gets_the_tenant_and_scenario_it_lacks(tmp_path: Any) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{}\n\n{"scenario_id":"own"}\nnonsense\n')
    lines = [*Lines(file, "acme", "feed").read()]
    assert lines == [
        b'{"tenant_id":"acme","scenario_id":"feed"}',
        b'{"tenant_id":"acme","scenario_id":"own"}',
        b"nonsense",
    ]
