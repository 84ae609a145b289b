"""A tenant's dead letters: listed, shown, and replayed.

Promise of `replay`: whatever is repeated, by whomever and after whatever crash, an event counts once. A replayed event
has the id that it would have had, its own or the one made of where its record stood, by which everything that counts
events knows it again. A letter that is marked as replayed, or whose event is stored as an accepted one, is skipped; so
an event goes out twice only where a call ended between sending and marking, or two ran at once, and the events were
not stored in between. The second is then dropped as any event that a client sends twice: from Redis' features while
its id is remembered (the tenant's last 200,000 events, and 24 h), in ClickHouse always.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka.errors import KafkaError

from ingest_api.errors import BrokerUnavailable
from ingest_api.letter_mapping import Mapping as FieldMapping
from ingest_api.letter_replay import Mended, Report, mended, report_of, split_known
from ingest_api.letter_store import LetterStore
from ingest_api.letters import Letter, Place, Replayed, ReplayOutcome, Wanted, cursor_after, read_cursor
from ingest_api.replay_producer import Replay, Sender
from schemas.clock import Clock, system_clock
from schemas.event import Event
from tracking_configs.judge import Judge

RETRY_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True)
class Page:
    """Letters, the newest first."""

    items: list[Letter]
    next_cursor: str | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay: the oldest `limit` of the wanted letters behind the cursor, mended.

    `everything`: also what the judge would reject again. `dry_run`: nothing is sent or marked.
    """

    wanted: Wanted
    mapping: FieldMapping | None = None
    everything: bool = False
    dry_run: bool = False
    limit: int = 1000
    cursor: str | None = None


class DeadLetters:
    """Raises EventsUnavailableError where ClickHouse does not answer."""

    def __init__(self, store: LetterStore, sender: Sender, judge: Judge, clock: Clock = system_clock) -> None:
        self._store = store
        self._sender = sender
        self._judge = judge
        self._clock = clock

    async def page(self, tenant: str, wanted: Wanted, limit: int, cursor: str | None = None) -> Page:
        """Raises InvalidCursorError."""
        letters = await self._store.letters(tenant, wanted, limit + 1, read_cursor(cursor), newest_first=True)
        items = letters[:limit]
        return Page(items, cursor_after(items[-1]) if len(letters) > limit else None)

    async def find(self, tenant: str, place: Place) -> Letter | None:
        """The letter of the record that stood there."""
        return await self._store.letter(tenant, place)

    async def replay(self, tenant: str, order: Order) -> Report:
        """Raises InvalidCursorError, and BrokerUnavailable where nothing could be sent."""
        wanted = msgspec.structs.replace(order.wanted, raw_only=True)
        found = await self._store.letters(tenant, wanted, order.limit + 1, read_cursor(order.cursor))
        letters = found[: order.limit]
        left = [letter for letter in letters if letter.replayed is None]
        candidates = await asyncio.to_thread(self._mend_all, tenant, left, order.mapping)
        stored = await self._stored_ids(tenant, candidates)
        fresh, known = split_known(candidates, stored)
        to_send = [each for each in fresh if each.is_sent(order.everything)]
        failed: Mapping[Place, Exception] = {}
        if not order.dry_run:
            failed = await self._send(tenant, to_send)
            sent = [each for each in to_send if each.place not in failed]
            await self._mark(tenant, sent, [each for each in known if each.event_id in stored])
        report = report_of(fresh, failed, order.everything)
        report.selected = len(letters)
        report.skipped_already = len(letters) - len(left) + len(known)
        report.dry_run = order.dry_run
        report.next_cursor = cursor_after(letters[-1]) if len(found) > order.limit else None
        return report

    def _mend_all(self, tenant: str, letters: Iterable[Letter], mapping: FieldMapping | None) -> list[Mended]:
        now = self._clock()
        return [mended(letter, mapping, self._judge, tenant, now) for letter in letters]

    async def _stored_ids(self, tenant: str, candidates: Iterable[Mended]) -> set[str]:
        events = [each.verdict for each in candidates if isinstance(each.verdict, Event)]
        return await self._store.stored_ids(tenant, events)

    async def _send(self, tenant: str, to_send: Sequence[Mended]) -> Mapping[Place, Exception]:
        replays = [Replay(each.place, each.key, each.value) for each in to_send]
        try:
            return await self._sender.send(tenant, replays)
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(RETRY_AFTER_S, f"Kafka does not answer ({error})") from error

    async def _mark(self, tenant: str, sent: Iterable[Mended], stored: Iterable[Mended]) -> None:
        now = self._clock()
        marks = [(each, ReplayOutcome.SENT) for each in sent] + [(each, ReplayOutcome.FOUND) for each in stored]
        await self._store.mark(tenant, [(each.place, Replayed(each.event_id, outcome, now)) for each, outcome in marks])
