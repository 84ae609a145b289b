"""Keeps child processes running: one that dies is started again after a growing pause, and said so."""

import asyncio
import time
from collections.abc import Callable, Sequence

from infra.stack.server import Server, ServerError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0  # a child that lived this long begins again with the first pause

Say = Callable[[str], None]


class Supervisor:
    """Watches started servers until it is closed. `say` takes one sentence for a person."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._watches: dict[str, asyncio.Task[None]] = {}

    def watch(self, servers: Sequence[Server]) -> None:
        for server in servers:
            self._watches[server.name] = asyncio.create_task(self._keep(server), name=f"watch-{server.name}")

    async def release(self, names: Sequence[str]) -> None:
        """Stop watching these, so that they may be stopped."""
        watches = [self._watches.pop(name) for name in names if name in self._watches]
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    async def _keep(self, server: Server) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            since = time.monotonic()
            status = await server.wait()
            if time.monotonic() - since > STEADY_AFTER_S:
                pause_s = FIRST_PAUSE_S
            self._say(
                f"{server.name} ended with status {status}; starting it again in {pause_s:g} s (log: {server.log})"
            )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            await self._start(server)

    async def _start(self, server: Server) -> None:
        try:
            await server.start()
            await server.wait_ready()
        except (ServerError, OSError) as error:
            self._say(str(error))
        else:
            self._say(f"{server.name} is back (pid {server.pid})")
