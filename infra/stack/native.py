"""Get the native servers once: `python -m infra.stack.native`. Safe to run again; says what it did.

Redis comes from Debian, FerretDB is built by Go from `infra/native/ferretdb/`, Kafka's jars come as for the embedded
stack. What is built or fetched is kept in the cache (`infra/stack/cache.py`).
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from infra.stack.jars import JarsError, ensure_jars, jars_cached
from infra.stack.kinds import NotSetUpError
from infra.stack.mongo import ferretdb_binary

FERRETDB_SOURCE = Path(__file__).parents[1] / "native" / "ferretdb"

console = Console(stderr=True, highlight=False)


class SetUpError(RuntimeError):
    """A native server cannot be had on this machine; the message says what to do."""


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        last = " ".join((done.stderr or done.stdout).strip().splitlines()[-2:])
        raise SetUpError(f"`{' '.join(command)}` failed: {last}")


def install_redis() -> str:
    """Debian's redis-server, without the service that its package starts."""
    if found := shutil.which("redis-server"):
        return f"redis-server: already there ({found})"
    if shutil.which("apt-get") is None:
        raise SetUpError("redis-server is missing and there is no apt-get: install Redis 7 so that it is on the PATH")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and shutil.which("sudo") is None:
        raise SetUpError("redis-server is missing: run `apt-get install redis-server` as root, then try again")
    _run([*root, "apt-get", "update"])
    _run([*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "redis-server"])
    # The stack starts its own, on a free port; the service would only hold 6379.
    if Path("/run/systemd/system").exists():
        _run([*root, "systemctl", "disable", "--now", "redis-server"])
    elif shutil.which("service"):
        subprocess.run([*root, "service", "redis-server", "stop"], capture_output=True, check=False)  # noqa: S603
    return "redis-server: installed from Debian, its service stopped"


def build_ferretdb() -> str:
    """The FerretDB binary in the cache, built when it is not there."""
    target = ferretdb_binary()
    if target.exists():
        return f"ferretdb: already there ({target})"
    go = shutil.which("go")
    if go is None:
        raise SetUpError("Go is missing, which builds FerretDB: install Go 1.22 or newer so that `go` is on the PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        built = Path(scratch) / "ferretdb"
        _run([go, "build", "-trimpath", "-mod=readonly", "-o", str(built), "."], cwd=FERRETDB_SOURCE)
        built.rename(target)
    return f"ferretdb: built ({target})"


def fetch_jars() -> str:
    """Kafka's jars in the cache."""
    if jars_cached():
        return "kafka: jars already there"
    folder = asyncio.run(ensure_jars())
    return f"kafka: jars fetched ({folder})"


def main() -> int:
    """Exit status: 0 all there, 1 something is missing and said so."""
    for step in (install_redis, fetch_jars, build_ferretdb):
        try:
            with console.status(f"{step.__name__.replace('_', ' ')} ..."):
                done = step()
        except (SetUpError, JarsError, NotSetUpError) as error:
            console.print(f"native stack not complete. {error}")
            return 1
        console.print(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
