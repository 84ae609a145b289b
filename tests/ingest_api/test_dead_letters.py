"""Dead letters listed, mended and replayed, over the real engine and a sender that only remembers."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.connections import open_clickhouse
from ingest_api.dead_letters import DeadLetters, Order
from ingest_api.errors import BrokerUnavailable
from ingest_api.letter_mapping import mapping_of
from ingest_api.letter_store import LetterStore
from ingest_api.letters import Place, Replayed, ReplayOutcome, Wanted
from ingest_api.replay_producer import Replay
from schemas.dead_letter import dead_letter
from schemas.erased import USER_ERASED, Later
from schemas.event import Event
from schemas.ids import replayable_event_id
from schemas.topics import raw_topic
from schemas.verdict import Code, Issue
from streams.migrations import migrate
from streams.rows import (
    EVENT_COLUMNS,
    REJECTED_BEHAVIORS,
    REJECTED_COLUMNS,
    USER_BEHAVIORS,
    event_columns,
    refused_row,
    rejected_row,
)
from tests.factories import NOON, make_body, make_event
from tests.schemas.test_erased import KEY, erased_users, erasure
from tracking_configs.errors import EventsUnavailableError, InvalidCursorError
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

LATER = NOON + 60_000
TOPIC = raw_topic("acme")
FIX = mapping_of({"rules": [{"rename": {"uid": "user_id"}}]})


class FakeSender:
    """Takes every replay but those it was told to lose; while `down`, none."""

    def __init__(self) -> None:
        self.down = False
        self.lost: set[Place] = set()
        self.sent: list[tuple[str, Replay]] = []

    async def send(self, tenant: str, replays: Sequence[Replay]) -> dict[Place, Exception]:
        if self.down:
            raise KafkaConnectionError("refused")
        self.sent += [(tenant, replay) for replay in replays if replay.place not in self.lost]
        return {replay.place: RequestTimedOutError() for replay in replays if replay.place in self.lost}

    def bodies(self) -> list[Any]:
        return [msgspec.json.decode(replay.value) for _, replay in self.sent]


class CrashingStore(LetterStore):
    """Loses the marks of every replay."""

    async def mark(self, tenant: str, replays: Any) -> None:
        raise EventsUnavailableError("ClickHouse", "gone")


@pytest.fixture
async def database(clickhouse: AsyncClient, clickhouse_server: str) -> AsyncIterator[Callable[[], Any]]:
    """Opens a client in the test's own database, whose tables are there."""
    await migrate(clickhouse)
    answer = await clickhouse.query("SELECT currentDatabase()")
    yield lambda: open_clickhouse(f"{clickhouse_server}/{answer.result_rows[0][0]}")


@pytest.fixture
async def store(database: Callable[[], Any]) -> AsyncIterator[LetterStore]:
    store = LetterStore(database)
    yield store
    await store.close()


def make_letters(store: LetterStore, sender: FakeSender) -> DeadLetters:
    return DeadLetters(store, sender, Judge(ConfigRegistry()), lambda: LATER)


def bad_body(**parts: Any) -> bytes:
    """An event whose user_id stands in another field."""
    return msgspec.json.encode(make_body(user_id=None, **({"uid": "u1"} | parts)))


def row(offset: int, value: bytes | None = None, *errors: Issue, tenant: str = "acme", **parts: Any) -> tuple[Any, ...]:
    """The row of a letter of partition 3, whose record arrived `offset` ms after noon."""
    place: dict[str, Any] = {"topic": raw_topic(tenant), "partition": 3, "offset": offset, "timestamp": NOON + offset}
    judged = {"scenario_id": "vlog_feed", "config_version": 2}
    issues = errors or (Issue("user_id", Code.MISSING, "user_id is required"),)
    value = bad_body(event_id=f"e{offset}") if value is None else value
    return rejected_row(tenant, dead_letter(value, issues, **(place | judged | parts)))


async def insert(client: AsyncClient, *rows: tuple[Any, ...]) -> None:
    await client.insert(REJECTED_BEHAVIORS, list(rows), REJECTED_COLUMNS)


async def insert_event(client: AsyncClient, event: Event) -> None:
    await client.insert(USER_BEHAVIORS, event_columns([event]), list(EVENT_COLUMNS), column_oriented=True)


def order(**parts: Any) -> Order:
    return Order(**({"wanted": Wanted(), "mapping": FIX} | parts))


async def offsets(letters: DeadLetters, **wanted: Any) -> list[int]:
    page = await letters.page("acme", Wanted(**wanted), 50)
    return [letter.offset for letter in page.items]


async def test_lists_what_is_wanted_newest_first_page_by_page(clickhouse: AsyncClient, store: LetterStore) -> None:
    too_old = Issue("timestamp", Code.TIMESTAMP_TOO_OLD, "older than the year 2000")
    await insert(clickhouse, row(1), row(2), row(3, b"{", too_old, scenario_id=None), row(4, scenario_id="other"))
    await insert(clickhouse, row(2), row(5, tenant="other"))  # written again after a crash; another tenant's
    letters = make_letters(store, FakeSender())
    assert await offsets(letters) == [4, 3, 2, 1]
    assert await offsets(letters, reason="timestamp_too_old") == [3]
    assert await offsets(letters, scenario="vlog_feed") == [2, 1]
    assert await offsets(letters, scenario="") == [3]
    assert await offsets(letters, since=NOON + 2, until=NOON + 4) == [3, 2]
    assert await offsets(letters, offsets=((3, 1), (3, 4), (2, 2))) == [4, 1]
    await store.mark("acme", [(Place(TOPIC, 3, 2), Replayed("e2", ReplayOutcome.SENT, LATER))])
    assert await offsets(letters, replayed=True) == [2]
    assert await offsets(letters, replayed=False) == [4, 3, 1]

    first = await letters.page("acme", Wanted(), 3)
    rest = await letters.page("acme", Wanted(), 3, first.next_cursor)
    assert [letter.offset for letter in first.items + rest.items] == [4, 3, 2, 1]
    assert rest.next_cursor is None
    assert [letter.replayed for letter in first.items] == [None, None, Replayed("e2", ReplayOutcome.SENT, LATER)]
    for garbage in ("x", "é", "W10"):
        with pytest.raises(InvalidCursorError):
            await letters.page("acme", Wanted(), 3, garbage)


async def test_shows_a_letter_with_the_bytes_that_came(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, row(7, b"\xff\x00"))
    letters = make_letters(store, FakeSender())
    letter = await letters.find("acme", Place(TOPIC, 3, 7))
    assert letter is not None
    assert (letter.original, letter.replayed) == (b"\xff\x00", None)
    assert (letter.timestamp, letter.scenario_id, letter.config_version) == (NOON + 7, "vlog_feed", 2)
    assert letter.errors == (Issue("user_id", Code.MISSING, "user_id is required"),)
    assert await letters.find("acme", Place(TOPIC, 3, 8)) is None
    assert await letters.find("other", Place(TOPIC, 3, 7)) is None


async def test_what_the_judge_accepts_when_mended_is_sent_once(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, row(1), row(2, bad_body(event_id="e2", uid=7)), row(3, b"[1]"), row(4, tenant="other"))
    sender = FakeSender()
    letters = make_letters(store, sender)
    tried = await letters.replay("acme", order(dry_run=True))
    assert (tried.replayed, sender.sent, await offsets(letters, replayed=True)) == (1, [], [])

    report = await letters.replay("acme", order())
    counts = (report.selected, report.replayed, report.still_rejected, report.skipped_already, report.errors)
    assert counts == (3, 1, 1, 0, 1)
    assert report.reasons == {"wrong_type": 1}
    assert {example.offset: example.outcome for example in report.examples} == {
        1: "replayed",
        2: "still_rejected",
        3: "error",
    }
    assert "no JSON object" in next(example.message for example in report.examples if example.offset == 3)
    [(tenant, replay)] = sender.sent
    assert (tenant, replay.key, replay.place) == ("acme", b"u1", Place(TOPIC, 3, 1))
    assert sender.bodies() == [make_body(event_id="e1")]

    again = await letters.replay("acme", order())
    assert (again.replayed, again.skipped_already) == (0, 1)
    assert len(sender.sent) == 1
    page = await letters.page("acme", Wanted(replayed=True), 5)
    assert [(letter.offset, letter.replayed) for letter in page.items] == [
        (1, Replayed("e1", ReplayOutcome.SENT, LATER))
    ]


async def test_an_event_without_an_id_gets_the_one_its_record_would_have_had(
    clickhouse: AsyncClient, store: LetterStore
) -> None:
    value = bad_body(event_id=None)
    await insert(clickhouse, row(1, value))
    sender = FakeSender()
    await make_letters(store, sender).replay("acme", order())
    assert sender.bodies()[0]["event_id"] == replayable_event_id(TOPIC, 3, 1, value)


async def test_after_a_crash_between_sending_and_marking_a_stored_event_is_found(
    clickhouse: AsyncClient, store: LetterStore, database: Callable[[], Any]
) -> None:
    await insert(clickhouse, row(1), row(2))
    sender, crashing = FakeSender(), CrashingStore(database)
    with pytest.raises(EventsUnavailableError):
        await make_letters(crashing, sender).replay("acme", order())
    await crashing.close()
    await insert_event(clickhouse, make_event(event_id="e1"))  # the first is stored by now, the second is not yet
    letters = make_letters(store, sender)
    report = await letters.replay("acme", order())
    assert (report.replayed, report.skipped_already) == (1, 1)
    assert [body["event_id"] for body in sender.bodies()] == ["e1", "e2", "e2"]
    page = await letters.page("acme", Wanted(replayed=True), 5)
    assert [letter.replayed and letter.replayed.outcome for letter in page.items] == [
        ReplayOutcome.SENT,
        ReplayOutcome.FOUND,
    ]


async def test_another_tenants_event_of_the_same_id_does_not_count(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, row(1))
    await insert_event(clickhouse, make_event(event_id="e1", tenant_id="other"))
    report = await make_letters(store, FakeSender()).replay("acme", order())
    assert (report.replayed, report.skipped_already) == (1, 0)


async def test_of_two_letters_of_one_event_one_is_sent(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, row(1, bad_body(event_id="same")), row(2, bad_body(event_id="same")))
    sender = FakeSender()
    letters = make_letters(store, sender)
    report = await letters.replay("acme", order())
    assert (report.replayed, report.skipped_already, len(sender.sent)) == (1, 1, 1)
    assert await offsets(letters, replayed=False) == [2]  # the first may be lost yet
    await insert_event(clickhouse, make_event(event_id="same"))
    assert (await letters.replay("acme", order())).skipped_already == 2
    assert await offsets(letters, replayed=False) == []


async def test_everything_sends_what_will_be_rejected_again(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, row(1, bad_body(event_id="e1", uid=None)), row(2, b"{"))
    sender = FakeSender()
    report = await make_letters(store, sender).replay("acme", order(mapping=None, everything=True))
    assert (report.replayed, report.still_rejected, report.reasons) == (2, 0, {"missing": 1, "invalid_json": 1})
    assert [(replay.key, replay.value) for _, replay in sender.sent] == [
        (None, bad_body(event_id="e1", uid=None)),
        (None, b"{"),
    ]


async def test_what_kafka_did_not_take_is_an_error_and_stays_unmarked(
    clickhouse: AsyncClient, store: LetterStore
) -> None:
    await insert(clickhouse, row(1), row(2))
    sender = FakeSender()
    letters = make_letters(store, sender)
    sender.down = True
    with pytest.raises(BrokerUnavailable):
        await letters.replay("acme", order())
    sender.down, sender.lost = False, {Place(TOPIC, 3, 1)}
    report = await letters.replay("acme", order())
    assert (report.replayed, report.errors) == (1, 1)
    assert await offsets(letters, replayed=False) == [1]


async def test_a_call_takes_the_oldest_and_says_where_to_go_on(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, *(row(number) for number in range(5)))
    sender = FakeSender()
    letters = make_letters(store, sender)
    cursor, sizes = None, []
    while True:
        report = await letters.replay("acme", order(limit=2, cursor=cursor))
        sizes.append(report.replayed)
        cursor = report.next_cursor
        if cursor is None:
            break
    assert sizes == [2, 2, 1]
    assert [body["event_id"] for body in sender.bodies()] == [f"e{number}" for number in range(5)]


async def test_a_full_call_of_long_ids_is_known_again(clickhouse: AsyncClient, store: LetterStore) -> None:
    ids = [f"{number}-{'é' * 200}" for number in range(1000)]
    await insert(clickhouse, *(row(number, bad_body(event_id=ids[number])) for number in range(1000)))
    events = [make_event(event_id=ids[number]) for number in range(1000) if number % 2]
    await clickhouse.insert(USER_BEHAVIORS, event_columns(events), list(EVENT_COLUMNS), column_oriented=True)
    sender = FakeSender()
    report = await make_letters(store, sender).replay("acme", order())
    assert (report.selected, report.replayed, report.skipped_already) == (1000, 500, 500)
    assert [body["event_id"] for body in sender.bodies()] == ids[::2]


async def test_as_many_letters_as_a_call_may_name_are_found(clickhouse: AsyncClient, store: LetterStore) -> None:
    high = 10**12
    await insert(clickhouse, *(row(high + number, timestamp=NOON) for number in range(101)))
    named = tuple((3, high + number) for number in range(100))
    assert (await make_letters(store, FakeSender()).replay("acme", order(wanted=Wanted(offsets=named)))).replayed == 100


async def test_what_a_store_refused_is_listed_and_not_replayed(clickhouse: AsyncClient, store: LetterStore) -> None:
    await insert(clickhouse, refused_row(make_event(offset=9, received_at=NOON), "too large a number"))
    letters = make_letters(store, FakeSender())
    assert await offsets(letters, reason="not_storable") == [9]
    assert (await letters.replay("acme", order())).selected == 0


async def test_nothing_is_said_while_clickhouse_is_away() -> None:
    store = LetterStore(lambda: open_clickhouse("http://127.0.0.1:1"))
    with pytest.raises(EventsUnavailableError):
        await make_letters(store, FakeSender()).page("acme", Wanted(), 5)


async def test_what_is_to_be_forgotten_is_never_sent_again(clickhouse: AsyncClient, store: LetterStore) -> None:
    """The user was erased after the letter came: found by a mapping, under whatever name the id stood."""
    bare = dead_letter(b"", (USER_ERASED,), topic=raw_topic("acme"), partition=3, offset=9, timestamp=NOON + 9)
    await insert(clickhouse, row(1), row(2, bad_body(event_id="e2", uid="u2")), rejected_row("acme", bare))
    for later in (Later.ACCEPT, Later.PSEUDONYMISE, Later.REFUSE):
        sender, erased = FakeSender(), erased_users(later)
        erased.note(erasure("acme", "u1", KEY, NOON + 5))
        letters = DeadLetters(store, sender, Judge(ConfigRegistry(), erased=erased), lambda: LATER)
        report = await letters.replay("acme", order(everything=True, dry_run=later is not Later.REFUSE))
        assert (report.selected, report.replayed, report.reasons) == (2, 1, {"user_erased": 1})
        assert b"u1" not in [replay.key for _, replay in sender.sent]
    assert await offsets(letters, reason="user_erased") == [9]


async def test_a_letter_of_after_the_erasure_is_replayed_under_the_pseudonym(
    clickhouse: AsyncClient, store: LetterStore
) -> None:
    await insert(clickhouse, row(1))
    sender, erased = FakeSender(), erased_users(Later.PSEUDONYMISE)
    erased.note(erasure("acme", "u1", KEY, NOON))
    letters = DeadLetters(store, sender, Judge(ConfigRegistry(), erased=erased), lambda: LATER)
    assert (await letters.replay("acme", order())).replayed == 1
    ((_, replay),) = sender.sent
    assert replay.key == sender.bodies()[0]["user_id"].encode()
    assert sender.bodies()[0]["user_id"].startswith("anon_")
