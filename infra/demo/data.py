"""MovieLens 100K, out of a wheel on PyPI that carries it; downloaded once, held against its checksum, never committed.

100,000 ratings by 943 people of 1,682 films, September 1997 to April 1998.
Source: F. M. Harper, J. A. Konstan: The MovieLens Datasets, ACM TiiS 5(4), 2015.
"""

import asyncio
import csv
import hashlib
import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.errors import DemoDataError

REQUIREMENT: Final = "recbole==1.2.1"
WHEEL: Final = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256: Final = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
FOLDER: Final = "recbole/dataset_example/ml-100k"
TENANT: Final = "movielens"
SCENARIO: Final = "movies"
LIKED: Final = 4  # a rating of 4 or 5 of 5 stars is a like, any other a play


@dataclass(frozen=True, slots=True)
class Rating:
    """`at_s`: seconds since the Unix epoch, as recorded."""

    user_id: str
    item_id: str
    stars: int
    at_s: int


@dataclass(frozen=True, slots=True)
class Movie:
    item_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MovieLens:
    """`ratings` by time, oldest first."""

    ratings: Sequence[Rating]
    movies: dict[str, Movie]


async def load_movielens(cache: Path) -> MovieLens:
    """From the cache, where it is put on first use. Raises DemoDataError with what to do."""
    wheel = cache / "demo" / WHEEL
    if not wheel.is_file() or _digest(wheel) != WHEEL_SHA256:
        await _download(wheel)
    with zipfile.ZipFile(wheel) as archive:
        texts = [archive.read(f"{FOLDER}/ml-100k.{part}").decode() for part in ("inter", "item")]
    return parse(*texts)


def parse(ratings: str, movies: str) -> MovieLens:
    """From the text of the two files: tab-separated, a header of `name:type`."""
    rated = [
        Rating(row["user_id"], row["item_id"], int(float(row["rating"])), int(float(row["timestamp"])))
        for row in _rows(ratings)
    ]
    rated.sort(key=lambda rating: (rating.at_s, int(rating.user_id), int(rating.item_id)))
    catalogue = (
        Movie(
            row["item_id"],
            row["movie_title"],
            int(row["release_year"]) if row["release_year"].isdigit() else None,
            tuple(row["class"].split()),
        )
        for row in _rows(movies)
    )
    return MovieLens(rated, {movie.item_id: movie for movie in catalogue})


def events_of(ratings: Sequence[Rating], *, last_at_ms: int) -> Iterator[bytes]:
    """The ratings as events, shifted as a whole so that the last is at `last_at_ms`.

    What the data does not know is left out: how long somebody watched, and on what, beyond that it was a PC of 1997.
    """
    shift_s = last_at_ms // 1000 - ratings[-1].at_s if ratings else 0
    for rating in ratings:
        yield msgspec.json.encode(
            {
                "event_id": f"ml_{rating.user_id}_{rating.item_id}",
                "tenant_id": TENANT,
                "scenario_id": SCENARIO,
                "user_id": rating.user_id,
                "item_id": rating.item_id,
                "action_type": "like" if rating.stars >= LIKED else "play",
                "timestamp": (rating.at_s + shift_s) * 1000,
                "context": {"device_type": "pc"},
                "extra_data": {"stars": rating.stars},
            }
        )


def items_of(movies: dict[str, Movie]) -> list[dict[str, Any]]:
    """The films as catalogue items: the first genre is the category, all are tags."""
    items = []
    for movie in movies.values():
        item: dict[str, Any] = {
            "item_id": movie.item_id,
            "name": f"{movie.title} ({movie.year})" if movie.year else movie.title,
            "category": movie.genres[0] if movie.genres else "unknown",
            "tags": list(movie.genres),
        }
        if movie.year and movie.year >= 1970:  # `published_at` begins with the Unix epoch
            item["published_at"] = int(datetime(movie.year, 1, 1, tzinfo=UTC).timestamp() * 1000)
        items.append(item)
    return items


def _rows(text: str) -> Iterator[dict[str, str]]:
    header, *rows = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    names = [column.partition(":")[0] for column in header]
    for row in rows:
        yield dict(zip(names, row, strict=True))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _download(wheel: Path) -> None:
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as scratch:
        await _pip_download(scratch)
        found = Path(scratch) / WHEEL
        if not found.is_file() or _digest(found) != WHEEL_SHA256:
            raise DemoDataError(
                f"the package index gave another {WHEEL} than the one recorded (sha256 {WHEEL_SHA256[:16]}...): "
                "nothing was kept; try another index"
            )
        found.replace(wheel)


async def _pip_download(folder: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary=:all:", "--dest", folder, REQUIREMENT),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["pip said nothing"]
        raise DemoDataError(
            f"MovieLens 100K comes in the wheel {REQUIREMENT}, which could not be downloaded ({last[0]}): check the "
            f"network and pip's index, or put {WHEEL} into {Path(folder).parent}"
        )
