"""Faust's own tests of consumers, conductors and the aiokafka driver, unchanged, on this transport's classes.

They come with Faust's source distribution and want an older pytest, so they run in an environment of their own, made
once in the cache directory. What is meant to differ stands in `substitute`.
"""

import os
import subprocess
import tarfile
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from infra.settings import load_settings

FAUST, AIOKAFKA, MSGSPEC, STRUCTLOG = (
    version(name) for name in ("faust-streaming", "aiokafka", "msgspec", "structlog")
)
NEEDED = [
    f"faust-streaming=={FAUST}",
    f"aiokafka[lz4,snappy,zstd]=={AIOKAFKA}",
    f"msgspec=={MSGSPEC}",
    f"structlog=={STRUCTLOG}",
    "opentracing==2.4.0",
    "pytest==7.4.4",
    "pytest-asyncio==0.21.2",
    "pytest-timeout==2.4.0",
]
FILES = [
    f"tests/unit/transport/{name}.py"
    for name in ("drivers/test_aiokafka", "test_conductor", "test_consumer", "test_utils")
]
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def suite() -> Path:
    """Faust's source, with an environment beside it; skips where neither is cached nor can be had."""
    folder = load_settings().cache / f"faust-{FAUST}-suite"
    made = folder / "made"
    if not made.exists() or made.read_text() != "\n".join(NEEDED):
        try:
            _make(folder)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"Faust's source or what its tests need could not be had: {error.stderr.decode()[-300:]}")
        made.write_text("\n".join(NEEDED))
    return folder / f"faust_streaming-{FAUST}"


def _make(folder: Path) -> None:
    venv.create(folder / "venv", with_pip=True, clear=True)
    _pip(folder, "install", *NEEDED)
    _pip(folder, "download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), NEEDED[0])
    with tarfile.open(folder / f"faust_streaming-{FAUST}.tar.gz") as archive:
        wanted = [member for member in archive.getmembers() if member.name.split("/")[1:2] == ["tests"]]
        archive.extractall(folder, wanted, filter="data")


def _pip(folder: Path, *args: str) -> None:
    command = [str(folder / "venv/bin/python"), "-m", "pip", "-q", "--disable-pip-version-check", *args]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.timeout(400)
def test_fausts_own_tests_pass_but_for_the_documented_differences(suite: Path) -> None:
    ran = subprocess.run(
        [
            *(str(suite.parent / "venv/bin/python"), "-m", "pytest", "-q", "--timeout=20", "--asyncio-mode=auto"),
            *("--confcutdir=.", "--rootdir=.", "-p", "no:cacheprovider", "-p", "substitute", *FILES),
        ],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{REPOSITORY}"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-1000:]
