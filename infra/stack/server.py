"""One child process that serves: start it, wait until it answers, stop it, and let nothing outlive us."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[], Awaitable[None]]
Prepare = Callable[[], Awaitable[None]]

PROBE_INTERVAL_S = 0.05
PROBE_TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1
LOG_LINES_SHOWN = 12

# Loaded before any fork: after it, only what is async-signal-safe may run.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerError(RuntimeError):
    """A server did not come up, or ended by itself; the message ends in its last log lines and the log's path."""

    def __init__(self, name: str, fact: str, log: Path) -> None:
        super().__init__(f"{name} {fact}\n{last_lines(log)}\nfull log: {log}")
        self.name = name
        self.log = log


def last_lines(log: Path, count: int = LOG_LINES_SHOWN) -> str:
    """The end of a log file, indented; reads at most its last 16 KiB."""
    if not log.exists():
        return "  (no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        lines = file.read().decode(errors="replace").splitlines()[-count:]
    return "\n".join(f"  {line}" for line in lines) or "  (log is empty)"


def _die_with_parent(parent: int) -> Callable[[], None]:
    """What the child runs between fork and exec: the kernel kills it when the thread that started it ends."""

    def child() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent ended before the call above
                os._exit(1)

    return child


@dataclass
class Server:
    """A child process in its own process group, its output in `log`. May be started again after it ended."""

    name: str
    command: Sequence[str]
    log: Path
    probe: Probe  # raises until the server answers
    prepare: Prepare | None = None  # runs before the first start: formats a disk, fetches jars
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 60.0
    _process: asyncio.subprocess.Process | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """Process id of the running child; RuntimeError before the first start."""
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        """Exit status of the child; None while it runs or before it was started."""
        return None if self._process is None else self._process.returncode

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

    async def start(self) -> None:
        """Prepare and spawn; returns before the server answers. See `wait_ready`."""
        if self.prepare is not None:
            await self.prepare()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )

    async def wait_ready(self, timeout_s: float | None = None) -> None:
        """Return once the probe passes; ServerError when the process ends first or the time is over."""
        limit_s = self.ready_timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        refusal: BaseException | None = None
        while time.monotonic() < deadline:
            if (code := self._running().returncode) is not None:
                raise ServerError(self.name, f"ended with status {code} before it was ready", self.log)
            try:
                await asyncio.wait_for(self.probe(), min(PROBE_TIMEOUT_S, limit_s))
                return
            except Exception as error:
                refusal = error
            await asyncio.sleep(PROBE_INTERVAL_S)
        raise ServerError(self.name, f"did not answer within {limit_s:.0f} s ({refusal!r})", self.log)

    async def run(self) -> None:
        """Start and wait until ready; stops the process again when it does not become so."""
        await self.start()
        try:
            await self.wait_ready()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Wait until the process ends; its exit status."""
        return await self._running().wait()

    def signal(self, number: int) -> None:
        """Send a signal to the child's process group; nothing happens when it is gone."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM, up to `grace_s` seconds to finish, then SIGKILL for the whole group. Safe to call twice."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        self.signal(signal.SIGKILL)
        await self._process.wait()
