"""A batch of events of one tenant as the blob that `apply.lua` applies: flat arrays, one msgpack value.

A *run* is what the script may apply to a session in one step: consecutive events of a user, in order of
arrival, none older than the one before nor further from it than the session gap, which is the same for all, and
no watermark between them by which the session had ended.
Once the first event of a run has begun or joined a session the others join it too, so the result does not
depend on where batches were cut. Only a run whose first event is late for the stored session must be looked
at event by event: the script then names the user, and the batch is built again with that user `split`.

The blob is an array of nine:

| | |
| --- | --- |
| ids | event ids, in order of arrival |
| items, tokens | the item ids, and each as JSON text; everything below names an item by its place, from 1 |
| actions | the session's fields `a:<action>`, named by their place, from 1 |
| categories | as JSON text, named by their place; `-i` is the catalogue's category of item i |
| users | a user after the other: id; n, n entries of the recent list, oldest first; n, n runs. A run: first and last timestamp, gap, place of its first event in ids, events, dwell ms, device, scenario, experiment, the batch's watermark at its first and at its last event; n, n times action and count; n, n distinct items, newest first; n, n distinct categories, newest first |
| lists, heat | the hot lists: `hot_deltas.py` |
| links | key without tenant; n, n items |
"""  # noqa: E501 (a table's row is one line)

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec

from schemas.event import Event
from schemas.keys import encode_id
from streams.features.hot_deltas import HotDeltas
from streams.features.model import DAY_MS, LINKS, MAX_DWELL_MS, ScenarioSignals, Signals
from streams.features.watermark import Closing

_pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Deltas:
    """The packed batch, and the users in the order in which the script counts them."""

    blob: bytes
    users: list[str]


class _Run:
    __slots__ = ("events", "first_mark", "first_place", "gap_ms", "last_at", "last_mark")

    def __init__(self, event: Event, place: int, gap_ms: int, mark: int) -> None:
        self.events = [event]
        self.first_place = place
        self.gap_ms = gap_ms
        self.last_at = event.timestamp
        self.first_mark = self.last_mark = mark


class _Places(dict[str, int]):
    """Gives each new string the next place, from 1, as Lua counts."""

    def __missing__(self, key: str) -> int:
        self[key] = place = len(self) + 1
        return place


class _Tokens(dict[str, str]):
    """Strings as JSON text, each made once."""

    def __missing__(self, key: str) -> str:
        self[key] = token = _json(key).decode()
        return token


class DeltaBuilder:
    """Builds the blobs of one tenant's batches with the scenarios' signals, and the time, as it was made."""

    def __init__(
        self,
        tenant: str,
        signals: Signals,
        now_ms: int,
        *,
        recent: int = 100,
        window_ms: int = DAY_MS,
        closing: Closing | None = None,
    ) -> None:
        self._tenant = tenant
        self._signals = signals
        self._now_ms = now_ms
        self._recent = recent
        self._window_ms = window_ms
        self._closing = closing or Closing()
        self._known: dict[tuple[str, str], ScenarioSignals] = {}

    def build(self, events: Sequence[Event], *, split: frozenset[str] = frozenset()) -> Deltas:
        """`events` in raw-offset order, no event_id twice; `split` users get one run per event."""
        tables = _Tables()
        runs = self._runs_by_user(events, split)
        users = [value for user, of_user in runs.items() for value in self._user(user, of_user, tables)]
        user_places = {user: place for place, user in enumerate(runs, 1)}
        hot = HotDeltas(self.signals_of, tables.items, user_places, window_ms=self._window_ms, now_ms=self._now_ms)
        hot.add(events)
        blob = _pack(
            [
                [event.event_id for event in events],
                list(tables.items),
                [tables.tokens[item] for item in tables.items],
                [f"a:{action}" for action in tables.actions],
                [_json(category).decode() for category in tables.categories],
                users,
                *hot.packed(),
                _links(events, tables.items) if LINKS.keys() & tables.actions.keys() else [],
            ]
        )
        return Deltas(blob, list(runs))

    def signals_of(self, scenario_id: str, scenario_type: str) -> ScenarioSignals:
        known = self._known.get((scenario_id, scenario_type))
        if known is None:
            known = self._signals(self._tenant, scenario_id, scenario_type)
            self._known[scenario_id, scenario_type] = known
        return known

    def _runs_by_user(self, events: Sequence[Event], split: frozenset[str]) -> dict[str, list[_Run]]:
        runs: dict[str, list[_Run]] = {}
        marks = self._closing.marks(events, self._now_ms)
        scenario, gap_ms = ("", ""), 0
        for place, (event, mark) in enumerate(zip(events, marks, strict=True), 1):
            if (event.scenario_id, event.scenario_type) != scenario:
                scenario = event.scenario_id, event.scenario_type
                gap_ms = self.signals_of(*scenario).session_gap_ms
            user, timestamp = event.user_id, event.timestamp
            of_user = runs.get(user)
            if of_user is None:
                runs[user] = [_Run(event, place, gap_ms, mark)]
                continue
            run = of_user[-1]
            last_at = run.last_at
            is_near = run.gap_ms == gap_ms and 0 <= timestamp - last_at <= gap_ms and user not in split
            if is_near and (mark - run.last_mark <= gap_ms or mark - last_at <= gap_ms):
                run.events.append(event)
                run.last_at, run.last_mark = timestamp, mark
            else:
                of_user.append(_Run(event, place, gap_ms, mark))
        return runs

    def _user(self, user: str, runs: list[_Run], tables: "_Tables") -> list[Any]:
        tokens = tables.tokens
        events = runs[0].events if len(runs) == 1 else [event for run in runs for event in run.events]
        entries = [f"[{tokens[e.item_id]},{tokens[e.action_type]},{e.timestamp}]" for e in events[-self._recent :]]
        flat: list[Any] = [user, len(entries), *entries, len(runs)]
        for run in runs:
            flat += _run(run, tables)
        return flat


class _Tables:
    """What the blob names by its place."""

    __slots__ = ("actions", "categories", "items", "tokens")

    def __init__(self) -> None:
        self.items = _Places()
        self.actions = _Places()
        self.categories = _Places()
        self.tokens = _Tokens()


def _run(run: _Run, tables: _Tables) -> list[Any]:
    events, places, known = run.events, tables.items, tables.categories
    newest = events[-1]
    backwards = events[::-1]
    items = dict.fromkeys([places[event.item_id] for event in backwards])
    categories = dict.fromkeys([known[e.category] if e.category else -places[e.item_id] for e in backwards])
    counts: dict[str, int] = {}
    for event in events:
        action = event.action_type
        counts[action] = counts.get(action, 0) + 1
    return [
        events[0].timestamp,
        newest.timestamp,
        run.gap_ms,
        run.first_place,
        len(events),
        sum([min(MAX_DWELL_MS, event.dwell_ms) for event in events if event.dwell_ms > 0]),
        newest.context.device_type,
        newest.scenario_id,
        _experiment(events),
        run.first_mark,
        run.last_mark,
        len(counts),
        *chain.from_iterable([(tables.actions[action], count) for action, count in counts.items()]),
        len(items),
        *items,
        len(categories),
        *categories,
    ]


def _experiment(events: Sequence[Event]) -> str:
    """That of the newest event which is in one."""
    for event in reversed(events):
        if event.experiment_id:
            return f"{event.experiment_id}/{event.experiment_group or ''}"
    return ""


def _links(events: Sequence[Event], items: _Places) -> list[Any]:
    links: dict[str, list[int]] = {}
    for event in events:
        if kind := LINKS.get(event.action_type):
            links.setdefault(f"{kind}:{encode_id(event.user_id)}", []).append(items[event.item_id])
    return [value for key, linked in links.items() for value in (key, len(linked), *linked)]
