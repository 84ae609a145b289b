"""The scenes of the demo's story: each asks the servers, and has it told."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from infra.cli.running import Running
from infra.demo.api import Api
from infra.demo.data import SCENARIO, TENANT, MovieLens, Rating
from infra.demo.facts import Facts
from infra.demo.facts import Progress as Drain
from infra.demo.narrate import Story
from infra.doors.sending import Sent
from infra.errors import OperatorError
from schemas.clock import system_clock
from schemas.topics import rejected_topic

GENRE: Final = "Animation"
PLAYS: Final = 10
SHOWN: Final = 5


async def tell_verdicts(facts: Facts, sent: dict[str, Sent], drain: Drain, story: Story) -> None:
    story.heading("What became of them, as ClickHouse and Redis say")
    story.doors(sent, await facts.by_door())
    refused = sum((run.reasons for run in sent.values()), Counter[str]())
    story.say("Refused at the door, so never sent on: " + ", ".join(f"{n} {code}" for code, n in refused.items()) + ".")
    story.verdicts(drain, *await facts.warnings(), await facts.reasons())
    total = sum(run.taken for run in sent.values())
    story.sum_up(total, drain)
    if not (drain.adds_up and drain.in_kafka == total):
        raise OperatorError("the numbers do not add up: this is a bug, please report it with the logs")


async def tell_features(facts: Facts, ratings: Sequence[Rating], story: Story) -> None:
    user = ratings[-1].user_id
    story.heading(f"The current session of user {user} (Redis {facts.keys.key('user:session', user)})")
    story.session(user, await facts.session(user))
    story.heading(f"Hot in {GENRE} (Redis {facts.keys.key('hot:category', GENRE)})")
    story.hot(await facts.hot(GENRE, SHOWN))


async def tell_recommendations(
    api: Api, facts: Facts, data: MovieLens, ratings: Sequence[Rating], story: Story
) -> None:
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


QUERY: Final = """SELECT item_id, count() AS events, round(100 * avg(action_type = 'like')) AS liked_percent
FROM user_behaviors WHERE scenario_id = 'movies' GROUP BY item_id ORDER BY events DESC LIMIT 5"""


async def tell_query(facts: Facts, story: Story) -> None:
    story.heading("A question to ClickHouse")
    story.say(QUERY)
    rows = [(story.title(item), events, f"{liked:.0f}") for item, events, liked in await facts.rows(QUERY)]
    story.table(("film", "events", "liked_percent"), rows, right=("events", "liked_percent"))


async def tell_dead_letter(api: Api, facts: Facts, story: Story) -> None:
    story.heading("A dead letter, explained")
    letter = await facts.dead_letter("timestamp_in_future")
    story.dead_letter(letter)
    story.say(
        f"It waits in {rejected_topic(TENANT)}; nothing else was kept back for it. A door would have refused it: "
        f"{await api.explain_refusal(letter.original)}"
    )


def tell_where_next(running: Running, data_dir: Path, story: Story) -> None:
    port = running.redis.rsplit(":", 1)[1].split("/")[0]
    where = f"--data-dir {data_dir}"
    story.heading(f"Where to look next: millrace up {where} (or --keep with this command), then")
    story.table(
        ("", ""),
        [
            ("the API", f"{running.http}/api/v1/docs and /api/v1/openapi.json"),
            ("events as they come", f"millrace tail {TENANT} {where}"),
            ("any query", f"millrace sql {where} 'SELECT * FROM user_behaviors LIMIT 5'"),  # noqa: S608
            ("features", f"redis-cli -p {port} hgetall {TENANT}:user:session:1"),
            ("the servers", f"millrace doctor {where}"),
        ],
    )
