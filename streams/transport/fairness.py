"""Fairness between tenants: deficit round robin over tenants, then over a tenant's partitions.

While several tenants are present, each gets `turn_records` at a time, and has at most two turns at work: the one
that is processed, and the one that follows. So a tenant with little to do waits for a bounded amount of the others'
work, whatever they have waiting. A tenant that is alone gets batches as large as `lone_turn_records`. A tenant is
present until it has had nothing to read for `linger_s`, so that one that comes back finds the others' turns small.

Records are weighed: one of more than `RECORD_BYTES` counts as several. A tenant that has run over its turn, because
its records turned out larger than those before, pays for it in its next turns.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

from faust.types import TP

RECORD_BYTES: Final = 1024


class Taken(NamedTuple):
    """What there was of a partition."""

    records: int
    size_bytes: int


Take = Callable[[TP, int], Taken]


@dataclass(frozen=True, slots=True)
class Turns:
    """How much a tenant gets at a time. `bounded` false: a tenant may have any number of turns at work."""

    turn_records: int = 100
    lone_turn_records: int = 2500
    bounded: bool = True
    linger_s: float = 30.0


class FairShares:
    """Deals out what has been fetched. `at_work`, kept by others: how many records of each tenant are out."""

    def __init__(
        self,
        tenant_of: Callable[[str], str],
        turns: Turns,
        at_work: Mapping[str, int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenant_of = tenant_of
        self._turns = turns
        self._at_work = at_work
        self._clock = clock
        self._sequence = count(1)
        self._tenants_served: dict[str, int] = {}  # when the last turn of each tenant ended, as a sequence number
        self._partitions_served: dict[TP, int] = {}
        self._credits: dict[str, int] = {}  # what is left of an interrupted turn, or, below 0, what is owed
        self._weights: dict[str, float] = {}
        self._seen_at: dict[str, float] = {}

    def deal(self, ready: Iterable[TP], take: Take) -> bool:
        """Call `take(partition, at most)` until `lone_turn_records` are out; whether somebody must wait for room.

        `ready` are the partitions that have records. `take` may give fewer than it was asked for; such a partition
        is not asked again.
        """
        line, dealt, held_back = self._line_up(ready), Counter[str](), False
        budget = self._turns.lone_turn_records
        while line and budget > 0:
            tenant = next(iter(line))
            partitions = line.pop(tenant)
            if not self._has_room(tenant, dealt[tenant]):
                held_back = True
                continue
            taken = self._take_turn(tenant, partitions, budget, take)
            dealt[tenant] += taken
            budget -= taken
            if partitions:
                line[tenant] = partitions
        return held_back

    def forget(self, tp: TP) -> None:
        """The partition is not ours any more."""
        self._partitions_served.pop(tp, None)

    def _line_up(self, ready: Iterable[TP]) -> dict[str, list[TP]]:
        """The tenants, and each one's partitions, in the order in which they were served last, longest ago first."""
        now = self._clock()
        found: dict[str, list[TP]] = {}
        for tp in sorted(ready, key=lambda tp: self._partitions_served.get(tp, 0)):
            found.setdefault(self._tenant_of(tp.topic), []).append(tp)
        self._seen_at.update(dict.fromkeys(found, now))
        for tenant in [tenant for tenant, at in self._seen_at.items() if now - at > self._turns.linger_s]:
            for kept in (self._seen_at, self._tenants_served, self._credits, self._weights):
                kept.pop(tenant, None)
        for tenant in [tenant for tenant, credit in self._credits.items() if credit > 0 and tenant not in found]:
            del self._credits[tenant]  # what is not used expires
        return dict(sorted(found.items(), key=lambda entry: self._tenants_served.get(entry[0], 0)))

    def _has_room(self, tenant: str, dealt: int) -> bool:
        out = (self._at_work.get(tenant, 0) + dealt) * self._weights.get(tenant, 1)
        return not self._turns.bounded or out <= self._turn_records

    @property
    def _turn_records(self) -> int:
        return self._turns.turn_records if len(self._seen_at) > 1 else self._turns.lone_turn_records

    def _take_turn(self, tenant: str, partitions: list[TP], budget: int, take: Take) -> int:
        """How many records the tenant got; leaves in `partitions` those that may have more."""
        credit, dealt = self._credits.pop(tenant, 0), 0
        if credit <= 0:
            credit += self._turn_records
        while partitions and credit > 0 and dealt < budget:
            tp = partitions.pop(0)
            at_most = min(budget - dealt, max(1, int(credit / self._weights.get(tenant, 1))))
            taken = take(tp, at_most)
            self._partitions_served[tp] = next(self._sequence)
            credit -= self._weigh(tenant, taken)
            dealt += taken.records
            if taken.records == at_most:
                partitions.append(tp)
        if credit < 0 or (credit > 0 and partitions):
            self._credits[tenant] = credit
        if credit <= 0 or not partitions:
            self._tenants_served[tenant] = next(self._sequence)
        return dealt

    def _weigh(self, tenant: str, taken: Taken) -> int:
        cost = max(taken.records, taken.size_bytes // RECORD_BYTES)
        if taken.records:
            self._weights[tenant] = cost / taken.records
        return cost
