"""A batch's part in the hot lists, for the blob of `deltas.py`: which lists, and each user's positive events.

What a user's event counts for depends on what the user gave the item before, which only Redis knows, so the script
adds up event by event; `hot.lua` reads what is made here.

| | |
| --- | --- |
| lists | a list after the other, in the order of their first events, each scenario's short list behind its long one: key without tenant, or `-i` for the catalogue's category of item i; half-life; first and last arrival |
| heat | a user's window after the other: place of the user in `users`, number of the window; n, n times item, weight, moment, place in `lists` of the scenario's, and of the category's |
"""  # noqa: E501 (a table's row is one line)

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.event import Event
from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT
from schemas.keys import encode_id
from streams.features.decay import TENANT_HALF_LIFE_MS, short_half_life_ms
from streams.features.model import ScenarioSignals

HOUR_MS: Final = 60 * 60 * 1000

_LAST = 3  # place of the last arrival in a list's row


class HotDeltas:
    """The hot part of one batch. `places` gives items their place in the blob.

    An arrival that is more than an hour ahead of `now_ms`, or is none, is taken for now: a broker that lets producers
    write it must not put a list's landmark into the future.
    """

    def __init__(
        self,
        signals: Callable[[str, str], ScenarioSignals],
        places: dict[str, int],
        users: Mapping[str, int],
        *,
        window_ms: int,
        now_ms: int,
    ) -> None:
        self._signals = signals
        self._places = places
        self._users = users
        self._window_ms = window_ms
        self._now_ms = now_ms
        self._rows: list[list[Any]] = []
        self._scenarios: dict[str, int] = {}
        self._categories: dict[str | int, int] = {}
        self._heat: dict[tuple[int, int], list[Any]] = {}

    def add(self, events: Sequence[Event]) -> None:
        """The innermost loop: only a positive signal makes an item hotter."""
        heat, places, users, rows = self._heat, self._places, self._users, self._rows
        window_ms, latest = self._window_ms, self._now_ms + HOUR_MS
        for event in events:
            weight = event.weight
            if not weight > 0:
                continue
            arrival, moment = event.received_at, event.timestamp
            if not 0 < arrival <= latest:
                arrival = self._now_ms
            if moment > arrival:
                moment = arrival
            if not rows:
                self._open_pair(GLOBAL, GLOBAL_SHORT, TENANT_HALF_LIFE_MS, arrival)
            item = places[event.item_id]
            scenario = self._scenarios.get(event.scenario_id) or self._open_scenario(event, arrival)
            category = self._categories.get(event.category or -item) or self._open_category(event, item, arrival)
            for place in (1, 2, scenario, scenario + 1, category):
                row = rows[place - 1]
                if arrival > row[_LAST]:
                    row[_LAST] = arrival
            window = (users[event.user_id], moment // window_ms)
            of_window = heat.get(window)
            if of_window is None:
                heat[window] = of_window = []
            of_window += (item, weight, moment, scenario, category)

    def packed(self) -> tuple[list[Any], list[Any]]:
        """`lists` and `heat`."""
        lists = [value for row in self._rows for value in row]
        heat = [value for window, events in self._heat.items() for value in (*window, len(events) // 5, *events)]
        return lists, heat

    def _open_scenario(self, event: Event, arrival: int) -> int:
        half_life_ms = self._signals(event.scenario_id, event.scenario_type).half_life_ms
        name = encode_id(event.scenario_id)
        place = self._open_pair(f"{SCENARIO}:{name}", f"{SCENARIO_SHORT}:{name}", half_life_ms, arrival)
        self._scenarios[event.scenario_id] = place
        return place

    def _open_category(self, event: Event, item: int, arrival: int) -> int:
        name = f"{CATEGORY}:{encode_id(event.category)}" if event.category else -item
        place = self._categories[event.category or -item] = self._open(name, TENANT_HALF_LIFE_MS, arrival)
        return place

    def _open_pair(self, long: str, short: str, half_life_ms: int, arrival: int) -> int:
        place = self._open(long, half_life_ms, arrival)
        self._open(short, short_half_life_ms(half_life_ms), arrival)
        return place

    def _open(self, name: str | int, half_life_ms: int, arrival: int) -> int:
        self._rows.append([name, half_life_ms, arrival, arrival])
        return len(self._rows)
