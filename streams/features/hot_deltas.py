"""A batch's part in the hot lists, for the blob of `deltas.py`: which lists, and each user's positive events.

What a user's event counts for depends on what the user gave the item before, which only Redis knows, so the script
adds up event by event; `hot.lua` reads what is made here.

| | |
| --- | --- |
| lists | a list after the other, in the order of their first events, each scenario's short list behind its long one: key without tenant, or `-i` for the catalogue's category of item i; half-life; first and last arrival |
| heat | a user's window after the other: place of the user in `users`, number of the window; n, n distinct items; n, n times place among these, weight, moment, place in `lists` of the scenario's, and of the category's |
"""  # noqa: E501 (a table's row is one line)

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.event import Event
from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT
from schemas.keys import encode_id
from streams.features.decay import TENANT_HALF_LIFE_MS, short_half_life_ms
from streams.features.model import ScenarioSignals

HOUR_MS: Final = 60 * 60 * 1000

Arrivals = list[int]  # the first and the last of a list, one value for a long list and its short one
Opened = tuple[int, Arrivals]  # place of a list, its arrivals


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
        self._lists: list[tuple[str | int, int, Arrivals]] = []
        self._everywhere: Arrivals = []
        self._scenarios: dict[str, Opened] = {}
        self._categories: dict[str | int, Opened] = {}
        self._heat: dict[tuple[int, int], tuple[dict[int, int], list[Any]]] = {}

    def add(self, events: Sequence[Event]) -> None:
        """The innermost loop: only a positive signal makes an item hotter."""
        heat, places, users = self._heat, self._places, self._users
        scenarios, categories = self._scenarios, self._categories
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
            item = places[event.item_id]
            everywhere = self._everywhere or self._open_everywhere(arrival)
            scenario, in_scenario = scenarios.get(event.scenario_id) or self._open_scenario(event, arrival)
            name = event.category or -item
            category, in_category = categories.get(name) or self._open_category(name, arrival)
            for arrivals in (everywhere, in_scenario, in_category):
                if arrival > arrivals[1]:
                    arrivals[1] = arrival
            window = (users[event.user_id], moment // window_ms)
            of_window = heat.get(window)
            if of_window is None:
                heat[window] = of_window = ({}, [])
            items, values = of_window
            values += (items.setdefault(item, len(items) + 1), weight, moment, scenario, category)

    def packed(self) -> tuple[list[Any], list[Any]]:
        """`lists` and `heat`."""
        lists = [value for name, half_life_ms, arrivals in self._lists for value in (name, half_life_ms, *arrivals)]
        heat = [
            value
            for window, (items, values) in self._heat.items()
            for value in (*window, len(items), *items, len(values) // 5, *values)
        ]
        return lists, heat

    def _open_everywhere(self, arrival: int) -> Arrivals:
        self._everywhere = self._open_pair(GLOBAL, GLOBAL_SHORT, TENANT_HALF_LIFE_MS, arrival)[1]
        return self._everywhere

    def _open_scenario(self, event: Event, arrival: int) -> Opened:
        half_life_ms = self._signals(event.scenario_id, event.scenario_type).half_life_ms
        name = encode_id(event.scenario_id)
        opened = self._open_pair(f"{SCENARIO}:{name}", f"{SCENARIO_SHORT}:{name}", half_life_ms, arrival)
        self._scenarios[event.scenario_id] = opened
        return opened

    def _open_category(self, name: str | int, arrival: int) -> Opened:
        arrivals = [arrival, arrival]
        key = f"{CATEGORY}:{encode_id(name)}" if isinstance(name, str) else name
        self._lists.append((key, TENANT_HALF_LIFE_MS, arrivals))
        self._categories[name] = len(self._lists), arrivals
        return self._categories[name]

    def _open_pair(self, long: str, short: str, half_life_ms: int, arrival: int) -> Opened:
        arrivals = [arrival, arrival]
        self._lists.append((long, half_life_ms, arrivals))
        self._lists.append((short, short_half_life_ms(half_life_ms), arrivals))
        return len(self._lists) - 1, arrivals
