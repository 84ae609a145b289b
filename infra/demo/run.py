"""The demo from start to end: set up, send, wait until all is stored, tell what came of it."""

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

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
from infra.demo.scenes import (
    tell_dead_letter,
    tell_features,
    tell_query,
    tell_recommendations,
    tell_verdicts,
    tell_where_next,
)
from infra.doors.door import Addresses, Door, DoorName, open_door
from infra.doors.sending import Sent, send_all
from infra.errors import OperatorError
from infra.platform import Platform, start_platform
from infra.settings import Settings
from schemas.clock import system_clock

DOORS: Final[tuple[DoorName, ...]] = ("http", "grpc", "kafka")


@dataclass(frozen=True, slots=True)
class Options:
    """`events`: so many of the most recent ratings. `keep`: stay up afterwards, until Ctrl-C."""

    data_dir: Path
    events: int
    keep: bool


async def run_demo(options: Options, settings: Settings) -> None:
    """Raises OperatorError when anything cannot be had, or the numbers do not add up."""
    data = await load_movielens(settings.cache)
    ratings = data.ratings[-options.events :]
    story = Story(data.movies)
    story.say(
        f"MovieLens 100K: the {len(ratings):,} most recent ratings by {len({r.user_id for r in ratings})} people, "
        f"{len(data.movies):,} films. 4 or 5 stars are a like, fewer a play; times are shifted so that the last is now."
    )
    fresh_directory(options.data_dir)
    began = time.perf_counter()
    story.say("Starting Kafka, Redis, ClickHouse, MongoDB, two doors and three workers ...")
    async with start_platform(options.data_dir, "embedded", say=story.say) as platform:
        story.say(f"Ready after {time.perf_counter() - began:.0f} s. Logs: {options.data_dir / 'logs'}")
        await _tell(platform, data, ratings, story, options, settings)
        story.say(f"Whole demo: {time.perf_counter() - began:.0f} s.")
        if options.keep:
            story.say("Staying up until Ctrl-C.")
            await asyncio.Event().wait()
    story.say(
        f"Stopped. The data stays in {options.data_dir}; millrace up --data-dir {options.data_dir} serves it again."
    )


def fresh_directory(data_dir: Path) -> None:
    """Each run starts empty. Raises OperatorError where a demo is still running."""
    if (running := find_running(data_dir)) is not None:
        raise OperatorError(f"a demo runs already (pid {running.pid}): stop it, or choose another --data-dir")
    if data_dir.exists():
        if any(data_dir.iterdir()) and not (data_dir / "lock").exists():
            raise OperatorError(f"{data_dir} is not a demo's folder and would be emptied: choose another --data-dir")
        shutil.rmtree(data_dir)


async def _tell(
    platform: Platform, data: MovieLens, ratings: Sequence[Rating], story: Story, options: Options, settings: Settings
) -> None:
    running = msgspec.convert(platform.endpoints, Running)
    headers = {"X-Tenant-ID": TENANT}
    async with (
        open_deps(settings.with_overrides(**running.dsns())) as deps,
        httpx.AsyncClient(base_url=running.http, headers=headers, timeout=30) as client,
    ):
        api = Api(client)
        clickhouse = await deps.open_clickhouse()
        try:
            facts = Facts(deps.kafka, clickhouse, cast(Redis, deps.redis))
            await _set_up(api, data, story)
            sent, drain = await _send_and_drain(deps, running, facts, ratings, story)
            await tell_verdicts(facts, sent, drain, story)
            await tell_features(facts, ratings, story)
            await tell_recommendations(api, facts, data, ratings, story)
            await tell_query(facts, story)
            await tell_dead_letter(api, facts, story)
            tell_where_next(running, options.data_dir, story)
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
