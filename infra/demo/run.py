"""The demo from start to end: set up, send, wait until all is stored, tell what came of it."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import httpx
import msgspec
from redis.asyncio import Redis
from rich.progress import Progress as Bars

from infra.cli.running import Running, find_running
from infra.connections import Deps, open_deps
from infra.demo import planted
from infra.demo.api import Api
from infra.demo.data import SCENARIO, TENANT, MovieLens, Rating, events_of, items_of, load_movielens
from infra.demo.facts import Facts
from infra.demo.facts import Progress as Drain
from infra.demo.narrate import Story
from infra.doors.door import Addresses, Door, DoorName, open_door
from infra.doors.sending import Sent, send_all
from infra.errors import OperatorError
from infra.platform import Platform, start_platform
from infra.settings import Settings, load_settings
from schemas.clock import system_clock

DOORS: Final[tuple[DoorName, ...]] = ("http", "grpc", "kafka")
GENRE: Final = "Animation"
PLAYS: Final = 10
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Options:
    """`events`: so many of the most recent ratings. `keep`: stay up afterwards, until Ctrl-C."""

    data_dir: Path
    events: int
    keep: bool


async def run_demo(options: Options, settings: Settings, story_of: type[Story] = Story) -> None:
    """Raises OperatorError when anything cannot be had, or the numbers do not add up."""
    data = await load_movielens(settings.cache)
    ratings = data.ratings[-options.events :]
    story = story_of(data.movies)
    story.say(
        f"MovieLens 100K: the {len(ratings):,} most recent ratings by {len({r.user_id for r in ratings})} people, "
        f"{len(data.movies):,} films. 4 or 5 stars are a like, fewer a play; times are shifted so that the last is now."
    )
    fresh_directory(options.data_dir)
    began = time.perf_counter()
    story.say("Starting Kafka, Redis, ClickHouse, MongoDB, two doors and three workers ...")
    async with start_platform(options.data_dir, "embedded", say=story.say) as platform:
        story.say(f"Ready after {time.perf_counter() - began:.0f} s. Logs: {options.data_dir / 'logs'}")
        await _tell(platform, data, ratings, story)
        story.say(f"Whole demo: {time.perf_counter() - began:.0f} s.")
        if options.keep:
            story.say("Staying up until Ctrl-C.")
            await asyncio.Event().wait()
    story.say(f"Stopped. To look around yourself: millrace demo --keep (data stays in {options.data_dir})")


def fresh_directory(data_dir: Path) -> None:
    """Each run starts empty. Raises OperatorError where a demo is still running."""
    if (running := find_running(data_dir)) is not None:
        raise OperatorError(f"a demo runs already (pid {running.pid}): stop it, or choose another --data-dir")
    if data_dir.exists():
        if any(data_dir.iterdir()) and not (data_dir / "lock").exists():
            raise OperatorError(f"{data_dir} is not a demo's folder and would be emptied: choose another --data-dir")
        shutil.rmtree(data_dir)


async def _tell(platform: Platform, data: MovieLens, ratings: Sequence[Rating], story: Story) -> None:
    running = msgspec.convert(platform.endpoints, Running)
    headers = {"X-Tenant-ID": TENANT}
    async with (
        open_deps(load_settings(running.dsns())) as deps,
        httpx.AsyncClient(base_url=running.http, headers=headers, timeout=30) as client,
    ):
        api = Api(client)
        clickhouse = await deps.open_clickhouse()
        try:
            facts = Facts(deps.kafka, clickhouse, cast(Redis, deps.redis))
            await _set_up(api, data, story)
            sent, drain = await _send_and_drain(deps, running, facts, ratings, story)
            await _verdicts(facts, sent, drain, story)
            await _features(facts, ratings, story)
            await _recommendations(api, facts, data, ratings, story)
            await _query(facts, story)
            await _letter(api, facts, story)
            _where_next(running, story)
        finally:
            await clickhouse.close()


async def _set_up(api: Api, data: MovieLens, story: Story) -> None:
    config = await api.make_config()
    items = await api.put_items(items_of(data.movies))
    story.say(f"Tenant {TENANT}: tracking config {SCENARIO} v{config['version']} from template video, {items:,} films.")


async def _send_and_drain(
    deps: Deps, running: Running, facts: Facts, ratings: Sequence[Rating], story: Story
) -> tuple[dict[str, Sent], Drain]:
    story.heading("Sending, a third by each door, oldest first")
    began = time.perf_counter()
    now_ms = system_clock()
    events = list(events_of(ratings, last_at_ms=now_ms))
    share = -(-len(events) // len(DOORS))
    sent: dict[str, Sent] = {}
    with story.bars() as bars:
        for number, name in enumerate(DOORS):
            part = events[number * share : (number + 1) * share] + planted_for(name, now_ms)
            async with open_door(name, TENANT, Addresses(running.http, running.grpc), deps) as door:
                sent[name] = await _send(door, part, bars)
            story.say(f"  {name:<6}{sent[name].total:>8,} events in {sent[name].seconds:.1f} s")
        drain = await _wait(facts, sum(run.taken for run in sent.values()), bars)
    seconds = time.perf_counter() - began
    story.say(
        f"  Everything stored after {seconds:.1f} s: {drain.in_kafka / seconds:,.0f} events/s from door to stores."
    )
    return sent, drain


def planted_for(door: DoorName, now_ms: int) -> list[bytes]:
    """What is slipped in behind the real events of a door."""
    bad = (
        list(planted.rejected_by_the_stream(now_ms).values())
        if door == "kafka"
        else planted.refused_at_the_door(now_ms)
    )
    return planted.warned(now_ms, door) + bad


async def _send(door: Door, events: Sequence[bytes], bars: Bars) -> Sent:
    bar = bars.add_task(door.name, total=len(events), rate="")
    sent = await send_all(
        door,
        events,
        on_progress=lambda run: bars.update(bar, completed=run.total, rate=f"{run.per_second:,.0f}/s"),
    )
    if sent.unavailable:
        raise OperatorError(f"{sent.unavailable:,} events were not taken by {door.name}, Kafka being away: see its log")
    return sent


async def _wait(facts: Facts, sent: int, bars: Bars) -> Drain:
    rows = bars.add_task("in ClickHouse", total=sent, rate="")
    recents = bars.add_task("in Redis", total=None, rate="")

    def show(now: Drain) -> None:
        bars.update(rows, completed=now.stored + now.dead)
        bars.update(recents, completed=now.recents, total=now.recents_due)

    return await facts.drained(sent, show)


async def _verdicts(facts: Facts, sent: dict[str, Sent], drain: Drain, story: Story) -> None:
    story.heading("What became of them, as ClickHouse and Redis say")
    story.doors(sent, await facts.by_door())
    refused = sum((run.reasons for run in sent.values()), Counter[str]())
    story.say("Refused at the door, so never sent on: " + ", ".join(f"{n} {code}" for code, n in refused.items()) + ".")
    story.verdicts(drain, *await facts.warnings(), await facts.reasons())
    total = sum(run.taken for run in sent.values())
    story.sum_up(total, drain)
    if not (drain.adds_up and drain.in_kafka == total):
        raise OperatorError("the numbers do not add up: this is a bug, please report it with the logs")


async def _features(facts: Facts, ratings: Sequence[Rating], story: Story) -> None:
    user = ratings[-1].user_id
    story.heading(f"The current session of user {user} (Redis {facts.keys.key('user:session', user)})")
    story.session(user, await facts.session(user))
    story.heading(f"Hot in {GENRE} (Redis {facts.keys.key('hot:category', GENRE)})")
    story.hot(await facts.hot(GENRE, SHOWN))


async def _recommendations(api: Api, facts: Facts, data: MovieLens, ratings: Sequence[Rating], story: Story) -> None:
    user, plays = choose_viewer(data, ratings)
    await facts.list_settled(user, "home", after_ms=0)
    before = await api.recommend(user, SHOWN)
    story.heading(f"Recommended to user {user}")
    story.recommendations(before)
    for item in plays:
        await api.track(_play(user, item))
    acknowledged_ms = system_clock()
    story.heading(f"User {user} plays ten of {GENRE}: {', '.join(map(story.title, plays[:3]))} ...")
    await facts.list_settled(user, "home", after_ms=acknowledged_ms)
    after = await api.recommend(user, SHOWN)
    story.recommendations(after, frozenset(item["item_id"] for item in before))


def choose_viewer(data: MovieLens, ratings: Sequence[Rating]) -> tuple[str, list[str]]:
    """The latest person with a short history and little of the genre, and ten of its favourites they have not seen."""
    seen: dict[str, set[str]] = {}
    fans: Counter[str] = Counter()
    for rating in ratings:
        seen.setdefault(rating.user_id, set()).add(rating.item_id)
        if GENRE in data.movies[rating.item_id].genres:
            fans[rating.item_id] += 1

    def of_genre(user: str) -> int:
        return sum(item in fans for item in seen[user])

    latest_first = list(dict.fromkeys(rating.user_id for rating in reversed(ratings)))
    user = min(latest_first, key=lambda name: of_genre(name) > 1 or not 10 <= len(seen[name]) <= 60)
    return user, [item for item, _ in fans.most_common() if item not in seen[user]][:PLAYS]


def _play(user: str, item: str) -> dict[str, Any]:
    return {
        "scenario_id": SCENARIO,
        "user_id": user,
        "item_id": item,
        "action_type": "play",
        "context": {"device_type": "tablet", "scene": "home"},
    }


QUERY: Final = """SELECT item_id, count() AS events, round(100 * countIf(action_type = 'like') / events) AS liked_percent
FROM user_behaviors WHERE scenario_id = 'movies' GROUP BY item_id ORDER BY events DESC LIMIT 5"""


async def _query(facts: Facts, story: Story) -> None:
    story.heading("A question to ClickHouse")
    story.say(QUERY)
    rows = [(story.title(item), events, f"{liked:.0f}") for item, events, liked in await facts.rows(QUERY)]
    story.table(("film", "events", "liked_percent"), rows, right=("events", "liked_percent"))


async def _letter(api: Api, facts: Facts, story: Story) -> None:
    story.heading("A dead letter, explained")
    letter = await facts.dead_letter("timestamp_in_future")
    story.dead_letter(letter)
    story.say(f"  POST /api/v1/behaviors/validate says the same: {await api.explain_refusal(letter.original.encode())}")


def _where_next(running: Running, story: Story) -> None:
    port = running.redis.rsplit(":", 1)[1].split("/")[0]
    story.heading("Where to look next, while a stack is up (millrace demo --keep, or millrace up)")
    story.table(
        ("", ""),
        [
            ("the API", f"{running.http}/api/v1/docs and /api/v1/openapi.json"),
            ("events as they come", f"millrace tail {TENANT}"),
            ("any query", "millrace sql 'SELECT * FROM user_behaviors LIMIT 5'"),
            ("features", f"redis-cli -p {port} hgetall {TENANT}:user:session:1"),
            ("the servers", "millrace doctor"),
        ],
    )
