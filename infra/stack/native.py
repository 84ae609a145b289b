"""Get the native servers once: `python -m infra.stack.native`. Safe to run again; says what it did.

Redis and promtool, which tests the alert rules, come from Debian, FerretDB is built by Go from
`infra/native/ferretdb/`, Kafka's jars come as for the embedded stack. What is built or fetched is kept in the cache
(`infra/stack/cache.py`).
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

from infra.stack.cache import cache_dir
from infra.stack.jars import JarsError, ensure_jars, jars_cached
from infra.stack.kinds import NotSetUpError
from infra.stack.mongo import ferretdb_binary

FERRETDB_SOURCE = Path(__file__).parents[1] / "native" / "ferretdb"
FERRETDB_MODULE = "github.com/FerretDB/FerretDB"
_UPDATE_CALL = 'result, err := common.UpdateDocument(ctx, c, "update", iter, &u)'
_PATCHES: Sequence[tuple[str, str, str]] = (
    # One SQLite connection was held for every operation of an update command until its end, and there are 100: the
    # 101st operation waited for ever, and the server with it.
    ("internal/handler/msg_update.go", _UPDATE_CALL, f"{_UPDATE_CALL}\n\t\tcloser.Close()"),
    # The index over `_id` has another expression than the queries, so every look-up read the whole collection.
    ("internal/backends/sqlite/metadata/metadata.go", "\"->'$._id'\"", '`->"_id"`'),
)

console = Console(stderr=True, highlight=False)


class SetUpError(RuntimeError):
    """A native server cannot be had on this machine; the message says what to do."""


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """What the command prints; SetUpError with its last words when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        last = " ".join((done.stderr or done.stdout).strip().splitlines()[-2:])
        raise SetUpError(f"`{' '.join(command)}` failed: {last}")
    return done.stdout


def install_redis() -> str:
    """Debian's redis-server, without the service that its package starts."""
    if found := shutil.which("redis-server"):
        return f"redis-server: already there ({found})"
    if shutil.which("apt-get") is None:
        raise SetUpError("redis-server is missing and there is no apt-get: install Redis 7 so that it is on the PATH")
    root = _root("redis-server is missing: run `apt-get install redis-server` as root, then try again")
    _run([*root, "apt-get", "update"])
    _run([*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "redis-server"])
    # The stack starts its own, on a free port; the service would only hold 6379.
    if Path("/run/systemd/system").exists():
        _run([*root, "systemctl", "disable", "--now", "redis-server"])
    elif shutil.which("service"):
        subprocess.run([*root, "service", "redis-server", "stop"], capture_output=True, check=False)  # noqa: S603
    return "redis-server: installed from Debian, its service stopped"


def _root(otherwise: str) -> list[str]:
    """What goes before a command that root must run; SetUpError, which says `otherwise`, where there is no way."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise SetUpError(otherwise)
    return ["sudo", "-n"]


def promtool_binary() -> Path | None:
    """promtool of the PATH, else of the cache; None where `make native` has not run."""
    found, cached = shutil.which("promtool"), cache_dir() / "promtool"
    return Path(found) if found else cached if cached.exists() else None


def fetch_promtool() -> str:
    """promtool out of Debian's package of Prometheus, which is unpacked, not installed: no server is started."""
    if found := promtool_binary():
        return f"promtool: already there ({found})"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetUpError("promtool is missing and this is no Debian: install Prometheus so that it is on the PATH")
    with tempfile.TemporaryDirectory(dir=cache_dir()) as name:
        scratch = Path(name)
        try:
            _run(["apt-get", "download", "prometheus"], cwd=scratch)
        except SetUpError:  # what apt knows is old, or nothing yet
            _run([*_root("promtool is missing: run `apt-get update` as root, then try again"), "apt-get", "update"])
            _run(["apt-get", "download", "prometheus"], cwd=scratch)
        for package in scratch.glob("prometheus_*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(scratch)])
        (scratch / "usr" / "bin" / "promtool").rename(cache_dir() / "promtool")
    return f"promtool: fetched ({cache_dir() / 'promtool'})"


def build_ferretdb() -> str:
    """The FerretDB binary in the cache, built when it is not there."""
    target = ferretdb_binary()
    if target.exists():
        return f"ferretdb: already there ({target})"
    go = shutil.which("go")
    if go is None:
        raise SetUpError("Go is missing, which builds FerretDB: install Go 1.22 or newer so that `go` is on the PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    _run([go, "mod", "download"], cwd=FERRETDB_SOURCE)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        scratch = Path(name)
        modfile = _patched(go, scratch)
        command = [go, "build", "-trimpath", "-modfile", str(modfile), "-o", str(scratch / "ferretdb"), "."]
        _run(command, cwd=FERRETDB_SOURCE)
        (scratch / "ferretdb").rename(target)
    return f"ferretdb: built ({target})"


def _patched(go: str, scratch: Path) -> Path:
    """A go.mod that takes a copy of FerretDB 1.24.2 in which two faults are mended."""
    original = Path(_run([go, "list", "-m", "-f", "{{.Dir}}", FERRETDB_MODULE], cwd=FERRETDB_SOURCE).strip())
    copy = scratch / "source"
    shutil.copytree(original, copy, copy_function=shutil.copyfile)
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # Go's module cache is read-only, and so would the copy be
    for name, wrong, right in _PATCHES:
        source = (copy / name).read_text()
        if source.count(wrong) != 1:
            raise SetUpError(f"FerretDB's {name} is not the one that is patched here: check go.mod's version")
        (copy / name).write_text(source.replace(wrong, right))
    shutil.copyfile(FERRETDB_SOURCE / "go.sum", scratch / "go.sum")
    modfile = scratch / "go.mod"
    modfile.write_text((FERRETDB_SOURCE / "go.mod").read_text() + f"\nreplace {FERRETDB_MODULE} => {copy}\n")
    return modfile


def fetch_jars() -> str:
    """Kafka's jars in the cache."""
    if jars_cached():
        return "kafka: jars already there"
    folder = asyncio.run(ensure_jars())
    return f"kafka: jars fetched ({folder})"


def main() -> int:
    """Exit status: 0 all there, 1 something is missing and said so."""
    for step in (install_redis, fetch_promtool, fetch_jars, build_ferretdb):
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
