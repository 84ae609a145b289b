"""`millrace configs` as a user meets it, over a door that is served, on a real store and topic."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis
from structlog.testing import capture_logs

from infra.cli.main import main
from infra.configs.client import ConfigApi, ConfigApiError
from infra.configs.file_form import Signature
from infra.health import serving
from infra.stack.ports import free_ports
from ingest_api.deps import HttpDeps
from ingest_api.http.app import create_app
from schemas.kafka import KafkaDsn
from tests.ingest_api.doors import make_door_deps
from tracking_configs.feed import ConfigPublisher
from tracking_configs.model import ConfigDraft
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates

Run = Callable[..., Any]


@pytest.fixture
async def url(kafka: str, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[str]:
    """The HTTP door, served."""
    publisher = ConfigPublisher(KafkaDsn.parse(kafka))
    store = ConfigStore(mongo_database)
    service = ConfigService(store, ConfigOutbox(store, publisher), load_templates(), ConfigRegistry())
    redis = Redis(host="127.0.0.1", port=1)
    nowhere: Any = None
    parts = {"config_service": service, "config_insights": nowhere, "redis": redis, "mongo": mongo_database}
    [port] = free_ports(1)
    app = create_app(HttpDeps(**vars(make_door_deps()) | parts))
    with capture_logs():  # the door's, which are not the command's output
        async with serving(app, "127.0.0.1", port):
            yield f"http://127.0.0.1:{port}"
    await publisher.stop()
    await redis.aclose()


class Ran:
    """What a command wrote, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`await run(url, "list")` is `millrace configs list --url ...`, in a thread, for the door lives in this one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())

    async def run_it(url: str, *words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, ["configs", *words, "--url", url])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return Ran(ended.value.code or 0, out, err)

    return run_it


def folder_of(tenant: str, path: Path) -> Path:
    parking = {
        "tenant_id": tenant,
        "scenario_id": "parking",
        "scenario_type": "custom",
        "name": "[red]Parking[/]",
        "fields": {"minutes": {"field_type": "integer", "required_for": ["park"], "max_value": 600}},
        "actions": ["park"],
    }
    vlog = {"tenant_id": tenant, "scenario_id": "短视频", "template_id": "video", "name": "Vlog"}
    (path / "feeds").mkdir(parents=True)
    (path / "parking.yaml").write_text(yaml.safe_dump(parking), "utf-8")
    (path / "feeds" / "vlog.json").write_text(json.dumps(vlog), "utf-8")
    return path


async def test_a_folder_is_applied_once_and_twice_is_the_same(url: str, run: Run, tenant: str, tmp_path: Path) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    only_plan = await run(url, "apply", "-f", str(folder), "--plan")
    assert only_plan.status == 0
    assert "plan: 2 to create" in only_plan.out
    assert (await run(url, "get", tenant, "parking")).status == 1

    first = await run(url, "apply", "-f", str(folder), "--author", "ana", "--reason", "first")
    assert first.status == 0, first.err
    assert first.out.index("plan: 2 to create") < first.out.index(f"created {tenant}/parking: version 1")
    assert "done: 2 applied" in first.out
    second = await run(url, "apply", "-f", str(folder))
    assert second.status == 0
    assert f"= unchanged  {tenant}/parking" in second.out
    assert second.out.endswith("plan: 2 unchanged\nnothing to do\n")
    listed = json.loads((await run(url, "list", "--tenant", tenant, "--json")).out)["items"]
    assert [(config["scenario_id"], config["version"]) for config in listed] == [("parking", 1), ("短视频", 1)]
    assert {(config["author"], config["reason"]) for config in listed} == {("ana", "first")}


async def test_a_changed_file_is_planned_compared_applied_and_taken_back(
    url: str, run: Run, tenant: str, tmp_path: Path
) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    assert (await run(url, "apply", "-f", str(folder))).status == 0
    file = folder / "parking.yaml"
    file.write_text(file.read_text("utf-8").replace("600", "60"), "utf-8")

    compared = await run(url, "diff", "-f", str(folder), "--exit-code")
    assert compared.status == 1
    assert f"~ update     {tenant}/parking  version 2, breaking" in compared.out
    assert "breaking fields.minutes.max_value: " in compared.out
    refused = await run(url, "apply", "-f", str(folder), "--no-allow-breaking")
    assert refused.status == 1
    assert f"nothing was applied: {tenant}/parking would break clients" in refused.err
    said = await run(url, "apply", "-f", str(folder), "--no-allow-breaking", "--json")
    assert (said.status, said.err) == (1, refused.err)
    answer = json.loads(said.out)
    assert answer["error"].startswith(f"nothing was applied: {tenant}/parking would break clients")
    assert [(step["action"], step["done"]) for step in answer["plan"]] == [("unchanged", False), ("update", False)]
    assert answer["plan"][1]["change"]["verdict"] == "breaking"
    applied = json.loads((await run(url, "apply", "-f", str(folder), "--json")).out)
    assert [(step["action"], step["done"]) for step in applied["plan"]] == [("unchanged", False), ("update", True)]

    versions = await run(url, "diff", tenant, "parking")
    assert versions.status == 0
    assert versions.out.startswith("version 1 to 2: breaking\n")
    assert (await run(url, "diff", tenant, "parking", "--exit-code")).status == 1
    back = await run(url, "diff", tenant, "parking", "--from", "2", "--to", "1", "--exit-code", "--json")
    assert (back.status, json.loads(back.out)["verdict"]) == (0, "widening")

    gone_back = await run(url, "rollback", tenant, "parking", "1", "--reason", "too short")
    assert gone_back.out.startswith(f"{tenant}/parking: version 3 says what version 1 said (widening)")
    history = json.loads((await run(url, "history", tenant, "parking", "--json")).out)["items"]
    assert [(entry["version"], entry["reason"]) for entry in history] == [(3, "too short"), (2, ""), (1, "")]
    assert "too short" in (await run(url, "history", tenant, "parking")).out


async def test_what_get_writes_apply_takes_and_finds_unchanged(url: str, run: Run, tenant: str, tmp_path: Path) -> None:
    assert (await run(url, "apply", "-f", str(folder_of(tenant, tmp_path / "configs")))).status == 0
    for scenario in ("parking", "短视频"):
        for name, words in (("a.yaml", ()), ("a.json", ("--json",))):
            (tmp_path / name).write_text((await run(url, "get", tenant, scenario, *words)).out, "utf-8")
            again = await run(url, "apply", "-f", str(tmp_path / name))
            assert (again.status, again.out.splitlines()[-1]) == (0, "nothing to do"), again.err


async def test_a_config_that_somebody_changes_meanwhile_is_left_alone(
    url: str, run: Run, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    assert (await run(url, "apply", "-f", str(folder))).status == 0
    for file in folder.rglob("*.*"):
        file.write_text(file.read_text("utf-8").replace("Vlog", "Clips").replace("Parking", "Parked"), "utf-8")
    find = ConfigApi.find

    def find_and_change(api: ConfigApi, tenant: str, scenario: str) -> Any:
        found = find(api, tenant, scenario)
        if scenario == "parking":
            httpx.put(f"{url}/api/v1/tracking-configs/{tenant}/parking", json={"description": "theirs"})
        return found

    monkeypatch.setattr(ConfigApi, "find", find_and_change)
    lost = await run(url, "apply", "-f", str(folder))
    assert lost.status == 1
    assert (
        f"{tenant}/parking: somebody changed it meanwhile; done: {tenant}/短视频; not done: {tenant}/parking"
        in lost.err
    )
    monkeypatch.undo()
    kept = json.loads((await run(url, "get", tenant, "parking", "--json")).out)
    assert (kept["version"], kept["description"]) == (2, "theirs")
    assert (await run(url, "apply", "-f", str(folder))).out.splitlines()[-1] == "done: 1 applied, 1 unchanged"


async def test_a_deleted_config_is_brought_back_by_its_file(url: str, run: Run, tenant: str, tmp_path: Path) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    assert (await run(url, "apply", "-f", str(folder))).status == 0
    for words in ((), ("--json",)):
        asked = await run(url, "delete", tenant, "parking", *words)  # nobody there to say yes
        assert asked.status == 2
        assert "--yes" in asked.err
        assert "--yes" in (json.loads(asked.out)["error"] if words else asked.err)
    deleted = await run(url, "delete", tenant, "parking", "--yes", "--reason", "closed")
    assert f"{tenant}/parking is out of service (version 2)" in deleted.out
    assert "nothing to do" in (await run(url, "delete", tenant, "parking", "--yes")).out
    assert "parking" not in (await run(url, "list", "--tenant", tenant)).out
    assert "deleted" in (await run(url, "list", "--tenant", tenant, "--all", "--type", "custom")).out
    assert "applying this file brings the config back" in (await run(url, "get", tenant, "parking")).err
    back = await run(url, "apply", "-f", str(folder))
    assert f"+ bring back {tenant}/parking  version 3" in back.out
    assert f"brought back {tenant}/parking: version 3" in back.out


async def test_one_bad_file_and_nothing_is_applied(url: str, run: Run, tenant: str, tmp_path: Path) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    (folder / "bad.yaml").write_text("fields: {a: {}}\nfields: {}", "utf-8")
    refused = await run(url, "apply", "-f", str(folder))
    assert refused.status == 1
    assert f"{folder}/bad.yaml: line 2, column 1: duplicate key 'fields'" in refused.err
    assert json.loads((await run(url, "list", "--tenant", tenant, "--json")).out) == {"items": []}


async def test_what_a_script_is_told_of_a_half_done_plan(
    url: str, run: Run, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    create = ConfigApi.create

    def create_all_but_parking(api: ConfigApi, draft: ConfigDraft, by: Signature) -> Any:
        if draft.scenario_id == "parking":
            raise ConfigApiError(503, "store_unavailable", "away")
        return create(api, draft, by)

    monkeypatch.setattr(ConfigApi, "create", create_all_but_parking)
    half = await run(url, "apply", "-f", str(folder), "--json")
    assert half.status == 1
    answer = json.loads(half.out)
    assert f"{tenant}/parking: away" in answer["error"]
    assert [(step["scenario_id"], step["done"]) for step in answer["plan"]] == [("短视频", True), ("parking", False)]


async def test_what_a_tenant_wrote_is_no_markup(url: str, run: Run, tenant: str, tmp_path: Path) -> None:
    assert (await run(url, "apply", "-f", str(folder_of(tenant, tmp_path / "configs")))).status == 0
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/tracking-configs") as door:
        hostile = await door.put(f"{tenant}/parking", json={"reason": "[bold]\x1b[2Jx", "name": "[bold]Feed[/]"})
    assert hostile.is_success
    assert "[bold]Feed[/]" in (await run(url, "list", "--tenant", tenant)).out
    assert "[bold]\\x1b[2Jx" in (await run(url, "history", tenant, "parking")).out


@pytest.mark.parametrize(
    "words",
    [
        ("get", "No Tenant", "feed"),
        ("get", "acme", "a/b"),
        ("diff",),
        ("diff", "acme"),
        ("diff", "acme", "feed", "-f", "x.yaml"),
        ("diff", "-f", "x.yaml", "--from", "1"),
        ("apply",),
        ("preview", "acme", "feed", "-f", "x.yaml", "--draft"),
        ("suggest", "acme", "feed", "--from", "paper"),
        ("rollback", "acme", "feed", "0"),
        ("publish", "acme", "feed"),
    ],
)
async def test_wrong_use_is_2_and_said_to_a_script_too(run: Run, words: tuple[str, ...]) -> None:
    assert (await run("http://127.0.0.1:1", *words)).status == 2
    told = await run("http://127.0.0.1:1", *words, "--json")
    assert told.status == 2
    assert json.loads(told.out)["error"]


async def test_a_door_that_is_away_is_one_sentence_that_says_what_to_do(run: Run) -> None:
    away = await run("http://127.0.0.1:1", "list")
    assert away.status == 1
    assert away.err.startswith("millrace: the HTTP door does not answer at http://127.0.0.1:1")
    assert "millrace up" in away.err


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("get", "acme", "feed"),
        ("apply", "-f", "x.yaml"),
        ("diff", "acme", "feed"),
        ("diff", "-f", "x.yaml"),
        ("preview", "acme", "feed"),
        ("suggest", "acme", "feed"),
        ("history", "acme", "feed"),
        ("rollback", "acme", "feed", "1"),
        ("delete", "acme", "feed", "--yes"),
    ],
)
async def test_a_failure_is_an_object_for_a_script_and_a_sentence_beside_it(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "x.yaml").write_text("{tenant_id: acme, scenario_id: feed, template_id: video, name: Feed}")
    away = await run("http://127.0.0.1:1", *words, "--json")
    assert away.status == 1
    assert away.err == f"millrace: {json.loads(away.out)['error']}\n"


async def test_wrong_files_are_listed_for_a_script(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tenant_id: [")
    (tmp_path / "b.yaml").symlink_to("gone.yaml")
    wrong = json.loads((await run("http://127.0.0.1:1", "apply", "-f", str(tmp_path), "--json")).out)
    assert [problem.partition(": ")[0] for problem in wrong["problems"]] == [f"{tmp_path}/a.yaml", f"{tmp_path}/b.yaml"]


async def test_every_file_and_folder_that_is_named_is_read(run: Run, url: str, tenant: str, tmp_path: Path) -> None:
    folder = folder_of(tenant, tmp_path / "configs")
    (tmp_path / "c.txt").write_text(
        json.dumps({"tenant_id": tenant, "scenario_id": "c", "template_id": "video", "name": "C"})
    )
    named = ("-f", str(folder), "-f", str(tmp_path / "c.txt"))
    assert "plan: 3 to create" in (await run(url, "apply", *named, "--plan")).out
    assert len(json.loads((await run(url, "diff", *named, "--json")).out)["plan"]) == 3
    twice = await run(url, "diff", *named, "-f", str(folder / "parking.yaml"))
    assert twice.status == 1
    assert f"two files for the config of {tenant}/parking" in twice.err
