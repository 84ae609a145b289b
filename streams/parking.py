"""Parking: the batches of a tenant whose breaker has tripped wait where they are, and those of others go on.

A batch that waits is neither acknowledged nor written, so nothing is dropped and no offset moves; its partition is
not read further while the step holds it. A parked tenant goes on
- as soon as the judge accepts most of what it rejected when the tenant was parked, its configs having been changed;
- as soon as an operator says so, on the board;
- after a pause, one batch at a time (`streams.breaker`).
With the board away nobody is told and no operator is heard; the other two ways remain.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import structlog

from schemas.metrics import TENANT_PARKED
from streams.breaker import Breaker, BreakerSettings, Reason, Runs

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0  # whether the reason is gone
_UNREAD: Final = b"\0"  # no mark of an operator's

Cured = Callable[[], bool]
"""Whether most of what parked a tenant would be accepted now."""


class BoardAwayError(Exception):
    """The board cannot be read or written now."""


class Board(Protocol):
    """Where operators see who is parked, and say who is to go on."""

    async def post(self, tenant: str, agent: str, reason: Reason) -> bytes | None:
        """Say that batches of the tenant wait, again and again while they do. Raises BoardAwayError.

        Answers the mark of the operator who resumed the tenant last, each of whom leaves another one.
        """
        ...


@dataclass(slots=True)
class _Place:
    """Where one tenant stands. `looks_at`: when it is next looked whether the reason is gone."""

    breaker: Breaker
    cured: Cured | None = None
    waiting: int = 0
    looks_at: float = 0.0
    mark: bytes | None = _UNREAD  # the operator's that stood on the board when it was first read


class Parking:
    """The breakers of one agent's tenants. Between `admission`, judging and `observe` nothing is awaited."""

    def __init__(
        self,
        agent: str,
        settings: BreakerSettings | None = None,
        *,
        board: Board | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._agent = agent
        self._settings = settings or BreakerSettings()
        self._board = board
        self._clock = clock
        self._sleep = sleep
        self._places: dict[str, _Place] = {}

    async def admission(self, tenant: str) -> None:
        """Return when a batch of the tenant may be judged."""
        place = self._place(tenant)
        place.waiting += 1
        try:
            while not place.breaker.admits(self._clock()):
                if self._clock() >= place.looks_at:
                    place.looks_at = self._clock() + LOOK_EVERY_S
                    await self._look(tenant, place)
                else:
                    await self._sleep(LOOK_EVERY_S / 4)
        finally:
            place.waiting -= 1

    def observe(self, tenant: str, runs: Runs, cured: Cured) -> None:
        """Take note of the verdicts of the batch that was admitted; `cured` is asked while they keep it parked."""
        place = self._place(tenant)
        before = place.breaker.reason
        place.breaker.observe(runs, self._clock())
        reason = place.breaker.reason
        if reason is not None:
            place.cured = cured
            self._say_parked(tenant, place, reason, is_new=before is None)
        elif before is not None:
            self._say_resumed(tenant, "a batch was good")

    def is_parked(self, tenant: str) -> bool:
        place = self._places.get(tenant)
        return place is not None and place.breaker.reason is not None

    def _place(self, tenant: str) -> _Place:
        if tenant not in self._places:
            self._places[tenant] = _Place(Breaker(self._settings))
        return self._places[tenant]

    async def _look(self, tenant: str, place: _Place) -> None:
        """Resume the tenant where the reason is gone."""
        if place.cured is not None and place.cured():
            why = "its configs accept what they rejected"
        elif await self._is_resumed(tenant, place):
            why = "an operator said so"
        else:
            return
        if place.breaker.reason is not None:  # it may have been resumed while the board was asked
            place.breaker.resume()
            self._say_resumed(tenant, why)

    async def _is_resumed(self, tenant: str, place: _Place) -> bool:
        reason = place.breaker.reason
        if self._board is None or reason is None:
            return False
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                mark = await self._board.post(tenant, self._agent, reason)
        except (BoardAwayError, TimeoutError) as error:
            log.debug("parking_board_away", tenant=tenant, error=repr(error))
            return False
        if place.mark == _UNREAD:
            place.mark = mark
        return place.mark != mark

    def _say_parked(self, tenant: str, place: _Place, reason: Reason, *, is_new: bool) -> None:
        now = self._clock()
        pause_s = round(place.breaker.tries_at - now)
        if is_new:
            place.mark, place.looks_at = _UNREAD, now
            self._show(tenant, place)
            log.error("tenant_parked", agent=self._agent, tenant=tenant, reason=reason.value, pause_s=pause_s)
        else:
            log.warning("tenant_stays_parked", agent=self._agent, tenant=tenant, pause_s=pause_s)

    def _say_resumed(self, tenant: str, why: str) -> None:
        log.info("tenant_resumed", agent=self._agent, tenant=tenant, why=why)

    def _show(self, tenant: str, place: _Place) -> None:
        """The gauges of a tenant, there since it was first parked, tell how it stands whenever they are read.

        Where nothing of it waits (it fell silent, or another worker has its partitions by now), it counts as parked
        until the pause is over.
        """

        def value(reason: Reason) -> float:
            counts = place.waiting > 0 or self._clock() < place.breaker.tries_at
            return float(place.breaker.reason is reason and counts)

        for reason in Reason:
            TENANT_PARKED.labels(self._agent, tenant, reason.value).set_function(partial(value, reason))
