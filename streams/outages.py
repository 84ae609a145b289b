"""Waiting for a server that is away: for ever, with growing pauses, and said once an outage."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from schemas.metrics import SINK_RETRIES

T = TypeVar("T")
log = structlog.get_logger()

LONGEST_PAUSE_S = 5.0


async def outlast(
    sink: str,
    call: Callable[[], Awaitable[T]],
    away: type[BaseException] | tuple[type[BaseException], ...],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """What `call` answers once its server is there. Only `away` is waited out; anything else is raised."""

    def say(state: RetryCallState) -> None:
        SINK_RETRIES.labels(sink).inc()
        if state.attempt_number == 1 and state.outcome is not None:
            log.warning("sink_away", sink=sink, error=repr(state.outcome.exception()))

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(away),
        wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_S),
        before_sleep=say,
        sleep=sleep,
    )

    async def attempt() -> T:  # tenacity awaits only what it sees to be a coroutine function
        return await call()

    answer: T = await retrying(attempt)
    if retrying.statistics["attempt_number"] > 1:
        log.info("sink_back", sink=sink, attempts=retrying.statistics["attempt_number"])
    return answer
