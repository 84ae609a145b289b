"""`millrace replay` and `millrace why` as a user meets them, on real servers."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from redis.asyncio import Redis

from infra.cli.main import main
from schemas.event import Event
from schemas.topics import raw_topic
from streams.migrations import migrate
from streams.rows import EVENT_COLUMNS, USER_BEHAVIORS, event_columns
from tests.faults.scene import read_all
from tests.streams.replay.stage import Stage, a_stage, traffic
from tracking_configs.raw_records import arrival_of


@pytest.fixture
async def database(clickhouse: AsyncClient) -> str:
    await migrate(clickhouse)
    return str((await clickhouse.query("SELECT currentDatabase()")).result_rows[0][0])


@pytest.fixture
def settings(
    kafka: str,
    redis_server: str,
    mongo_server: str,
    clickhouse_server: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLRACE_KAFKA", kafka)
    monkeypatch.setenv("MILLRACE_REDIS", redis_server)
    monkeypatch.setenv("MILLRACE_MONGO", mongo_server)
    monkeypatch.setenv("MILLRACE_CLICKHOUSE", f"{clickhouse_server}/{database}")


async def run(*words: str) -> int:
    """The exit status of a command, which has an event loop of its own."""

    def call() -> int:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return int(ended.value.code or 0)

    return await asyncio.to_thread(call)


async def insert(stage: Stage, clickhouse: AsyncClient) -> None:
    """What the analytics role would have written by now."""
    records = await read_all(stage.kafka, raw_topic(stage.tenant))
    verdicts = [stage.judge.judge(record.value, arrival_of(record, stage.tenant)) for record in records]
    columns = event_columns([verdict for verdict in verdicts if isinstance(verdict, Event)])
    await clickhouse.insert(USER_BEHAVIORS, columns, column_names=list(EVENT_COLUMNS), column_oriented=True)


@pytest.mark.usefixtures("settings")
async def test_features_are_rebuilt_and_told_of(
    kafka: str, redis_client: Redis, clickhouse: AsyncClient, tenant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        await stage.send(traffic(tenant, 2_000))
        await stage.counted()
        await stage.spoil()
        assert await run("replay", "--tenant", tenant, "--dry-run") == 0
        assert "nothing was changed" in capsys.readouterr().out
        assert await run("replay", "--tenant", tenant, "--from", "earliest", "--into", "shadow", "--json") == 0
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert report["swapped"]
        assert report["difference"]["only_live"] >= 2
        await stage.assert_exact()
        assert await run("replay", "--tenant", tenant, "--abort") == 0
        assert "no rebuild is left" in capsys.readouterr().out

        await insert(stage, clickhouse)
        assert await run("why", f"u1@{time.time_ns() // 1_000_000}", "--tenant", tenant, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        session: Any = await redis_client.hgetall(stage.key("user:session", "u1"))
        assert found["session"]["session_id"] == session[b"session_id"].decode()
        assert found["session"]["events"] == session[b"events"].decode()
        assert await run("why", "u1@now", "--tenant", tenant) == 0
        assert "session_id" in capsys.readouterr().out


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("replay", "--tenant", "nobody-knows"), 1, "there is no topic"),
        (("replay", "--tenant", "nobody-knows", "--from", "yesterday"), 2, "is no moment"),
        (("replay", "--tenant", "No Tenant"), 2, "not a tenant's name"),
        (("replay", "--tenant", "acme", "--into", "place"), 2, "shadow"),
        (("why", "u1", "--tenant", "acme"), 2, "USER@TIME"),
        (("why", "u1@2999-01-01", "--tenant", "acme"), 2, "lies ahead"),
        (("why", "u1@now", "--tenant", "nobody-knows"), 1, "no event of u1 yet"),
        (("why", "u1@1h", "--tenant", "nobody-knows"), 1, "look at a later one"),
    ],
)
async def test_wrong_use_and_unknown_names_are_sentences(
    words: tuple[str, ...], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(*words) == status
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())
