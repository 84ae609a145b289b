"""`millrace dead-letters` as a user meets it, over a door that is served, on real servers."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from pymongo import AsyncMongoClient
from redis.asyncio import Redis
from structlog.testing import capture_logs

from infra.cli.main import main
from infra.connections import open_clickhouse
from infra.health import serving
from infra.stack.ports import free_ports
from ingest_api.dead_letters import DeadLetters
from ingest_api.deps import HttpDeps
from ingest_api.http.app import create_app
from ingest_api.letter_store import LetterStore
from ingest_api.replay_producer import ReplayProducer
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from streams.breaker import Reason
from streams.migrations import migrate
from streams.parking_board import RedisBoard
from tests.ingest_api.doors import make_door_deps
from tests.ingest_api.test_dead_letters import bad_body, insert, row
from tests.streams.live import make_topic
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

Run = Callable[..., Any]


@pytest.fixture
async def url(kafka: str, clickhouse: AsyncClient, clickhouse_server: str, redis_client: Redis) -> AsyncIterator[str]:
    """The HTTP door, served."""
    await migrate(clickhouse)
    database = (await clickhouse.query("SELECT currentDatabase()")).result_rows[0][0]
    store = LetterStore(lambda: open_clickhouse(f"{clickhouse_server}/{database}"))
    letters = DeadLetters(store, ReplayProducer(KafkaDsn.parse(kafka)), Judge(ConfigRegistry()))
    nowhere: Any = None
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("mongodb://127.0.0.1:1")
    parts = {"config_service": nowhere, "config_insights": nowhere, "redis": redis_client, "mongo": mongo["millrace"]}
    [port] = free_ports(1)
    app = create_app(HttpDeps(**vars(make_door_deps()) | parts | {"dead_letters": letters}))
    with capture_logs():  # the door's, which are not the command's output
        async with serving(app, "127.0.0.1", port):
            yield f"http://127.0.0.1:{port}"
    await store.close()
    await mongo.close()


class Ran:
    """What a command wrote, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`await run(url, "list", "acme")` is `millrace dead-letters list acme --url ...`, in a thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())

    async def run_it(url: str, *words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, ["dead-letters", *words, "--url", url])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return Ran(ended.value.code or 0, out, err)

    return run_it


async def letters_of(clickhouse: AsyncClient, tenant: str, count: int) -> None:
    """Letters whose user stands in another field, and behind them one that is no JSON."""
    rows = [row(number, bad_body(event_id=f"e{number}", tenant_id=tenant), tenant=tenant) for number in range(count)]
    await insert(clickhouse, *rows, row(count, b"{[red]", tenant=tenant))


def mapping(path: Path, text: str = "rules:\n- rename: {uid: user_id}\n") -> str:
    file = path / "mapping.yaml"
    file.write_text(text, "utf-8")
    return str(file)


async def test_letters_are_listed_shown_tried_and_replayed_once(
    url: str, run: Run, clickhouse: AsyncClient, kafka: str, tenant: str, tmp_path: Path
) -> None:
    await make_topic(kafka, raw_topic(tenant))
    await letters_of(clickhouse, tenant, 5)
    listed = await run(url, "list", tenant)
    assert listed.status == 0, listed.err
    assert len(listed.out.splitlines()) == 7
    assert "3:4" in listed.out
    assert "user_id is required" in listed.out
    assert [letter["offset"] for letter in (await run(url, "list", tenant, "--last", "2", "--json")).json] == [5, 4]
    assert (await run(url, "list", tenant, "--since", "1h", "--json")).json == []

    shown = await run(url, "show", tenant, "3:5")
    assert shown.out.endswith("{[red]\n")
    assert f"{raw_topic(tenant)}/3/5" in shown.out
    assert (await run(url, "show", tenant, "3:5", "--json")).json["encoding"] == "utf-8"

    fix = mapping(tmp_path)
    tried = await run(url, "replay", tenant, "--letter", "3:0", "--letter", "3:1", "--fix", fix, "--dry-run")
    assert tried.status == 0, tried.err
    assert f"{tenant}: 2 letters: 2 would be replayed" in tried.out
    assert '"user_id":"u1"' in tried.out
    assert (await run(url, "replay", tenant, "--fix", fix)).status == 1  # nobody is there to say yes
    assert (await run(url, "list", tenant, "--replayed", "--json")).json == []

    done = await run(url, "replay", tenant, "--fix", fix, "--yes", "--json", "--per-call", "2")
    assert done.status == 1  # for the letter that is no JSON
    counts = {name: done.json[name] for name in ("selected", "replayed", "still_rejected", "skipped_already", "errors")}
    assert counts == {"selected": 6, "replayed": 5, "still_rejected": 0, "skipped_already": 0, "errors": 1}
    assert "1 letters could not be mended or sent" in done.err
    again = await run(url, "replay", tenant, "--reason", "missing", "--fix", fix, "-y")
    assert "0 replayed, 0 still rejected, 5 replayed before, 1 errors" in again.out
    assert "no JSON object" in again.out
    assert len((await run(url, "list", tenant, "--replayed", "--json")).json) == 5


async def test_a_parked_tenant_is_said_and_resumed(url: str, run: Run, redis_client: Redis, tenant: str) -> None:
    assert "no raw events wait" in (await run(url, "parked", tenant)).out
    await RedisBoard(redis_client).post(tenant, "judge", Reason.RUN)
    assert f"{tenant} is parked (judge: run)" in (await run(url, "list", tenant)).err
    assert (await run(url, "parked", tenant, "--json")).json["reasons"] == {"judge": "run"}
    assert "judged on" in (await run(url, "resume", tenant)).out
    assert (await run(url, "resume", tenant, "--json")).json == {"tenant": tenant, "was_parked": False}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "acme", "3:1"), "there is no dead letter of 3:1"),
        (("list", "acme", "--reason", "bad_luck"), "docs/codes.md"),
        (("list", "acme", "--since", "yesterday"), "ISO 8601"),
        (("replay", "acme", "--yes", "--fix", "gone.yaml"), "gone.yaml"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence(url: str, run: Run, words: tuple[str, ...], says: str) -> None:
    ran = await run(url, *words)
    assert ran.status == 1
    assert says in ran.err
    assert "Traceback" not in ran.err


async def test_a_file_that_is_no_mapping_is_said_before_anything_is_asked(run: Run, tmp_path: Path) -> None:
    fix = mapping(tmp_path, "rules:\n- droop: [a]\n")
    ran = await run("http://127.0.0.1:1", "replay", "acme", "--yes", "--fix", fix)
    assert ran.status == 1
    assert "unknown field `droop`" in ran.err


async def test_a_platform_that_is_away_is_said(run: Run) -> None:
    ran = await run("http://127.0.0.1:1", "list", "acme")
    assert ran.status == 1
    assert "start `millrace up`" in ran.err


@pytest.mark.parametrize(
    "words", [("list", "No Tenant"), ("show", "acme", "3"), ("replay", "acme", "--letter", "3-1"), ("list",)]
)
async def test_wrong_use_is_2(run: Run, words: tuple[str, ...]) -> None:
    assert (await run("http://127.0.0.1:1", *words)).status == 2
