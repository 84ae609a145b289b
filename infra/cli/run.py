"""Running a command's coroutine, and the consoles it writes to."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
import uvloop
from rich.console import Console

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a uvloop; Ctrl-C cancels it and becomes KeyboardInterrupt.

    Nothing is logged unless the command sets logging up, as a role does: what went wrong comes as an exception.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def answers() -> Console:
    """What a command answers: stdout, never wrapped when it goes into a file or pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=10_000, no_color=True)


def remarks() -> Console:
    """Progress and asides: stderr."""
    return Console(stderr=True, highlight=False)
