"""`millrace configs preview` and `suggest`, over a door that answers what the real one makes of some events."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from infra.cli.main import main
from infra.configs.client import ROOT, ConfigApi
from infra.configs.files import read_configs
from infra.errors import OperatorError, ServerAwayError
from schemas.verdict import Code
from tests.factories import make_body
from tests.tracking_configs.factories import NOON, make_config, make_field, template_config
from tracking_configs.diff import compare
from tracking_configs.past_event import Outcome
from tracking_configs.preview import Changed, Counts, Preview, Reason, Window
from tracking_configs.suggest import suggest

Asked = list[tuple[str, str, Any]]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


CURRENT = template_config("video", "feed")
NARROWER = template_config("video", "feed", fields={"duration": {"max_value": 60}})
REASON = Reason(
    verdict=Outcome.WARN,
    code=Code.OUT_OF_RANGE,
    field="scenario_data.video_data.duration",
    count=12,
    new=12,
    message="expected 1 to 60, got 61",
    example={"event_id": "[red]e1[/]\x1b[2J", "note": "x" * 1000},
)
PREVIEW = Preview(
    events=1200,
    window=Window(NOON, NOON + 60_000),
    now=Counts(1200, 0, 0),
    then=Counts(1188, 12, 0),
    changed=Changed(0, 12, 0),
    reasons=(REASON,),
)
EVENTS = [
    make_body(
        scenario_id="feed", action_type="play_end", scenario_data={"video_data": {"duration": n, "mood": "[red]"}}
    )
    for n in range(1, 30)
]
SUGGESTION = suggest("acme", "feed", EVENTS)
WAITING = {"version": 2, "change": compare(CURRENT, NARROWER), "published": False}  # stored while Kafka is away
DEEP = make_config(scenario_id="deep", fields=[make_field("a", "array", default=nested(600))])


def answer(request: httpx.Request) -> httpx.Response:
    one = f"{ROOT}/acme/feed"
    answers = {
        ("GET", one): CURRENT,
        ("POST", f"{one}/preview"): {"change": compare(CURRENT, NARROWER), "preview": PREVIEW},
        ("POST", f"{one}/suggest"): SUGGESTION,
        ("GET", f"{ROOT}/acme/deep"): DEEP,
        ("PUT", one): WAITING,
        ("POST", f"{one}/rollback"): WAITING,
        ("DELETE", one): WAITING,
    }
    found = answers.get((request.method, request.url.path))
    refused = {"success": False, "message": "not there", "errors": [{"field": "", "code": "config_not_found"}]}
    return httpx.Response(200 if found else 404, content=msgspec.json.encode(found or refused))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What the door was asked: method, path and body of each call."""
    monkeypatch.chdir(tmp_path)
    calls: Asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        calls.append((request.method, request.url.path, json.loads(request.content or b"null")))
        return answer(request)

    monkeypatch.setattr(
        "infra.cli.configs_options.ConfigApi", lambda url: ConfigApi(url, transport=httpx.MockTransport(handle))
    )
    return calls


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run_it(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["configs", *words])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, out, err

    return run_it


def test_a_preview_is_a_table_and_its_reasons_with_an_example(asked: Asked, run: Callable[..., Any]) -> None:
    status, out, _ = run("preview", "acme", "feed", "--draft", "--last", "1200")
    assert status == 0
    assert asked == [("POST", f"{ROOT}/acme/feed/preview", {"draft": True, "last": 1200})]
    assert "1,200 events, from 2023-11-14 22:13:20 to 2023-11-14 22:14:20" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["now", "1200", "0", "0"] in rows
    assert ["then", "1188", "12", "0"] in rows
    assert ["newly", "0", "12", "0"] in rows
    assert "warn 12 (12 new): scenario_data.video_data.duration out_of_range: expected 1 to 60, got 61" in out
    assert 'for example {"event_id":"[red]e1[/]\\u001b[2J","note":"xxx' in out
    assert max(map(len, out.splitlines())) < 500


def test_a_preview_of_a_file_asks_for_the_files_config(asked: Asked, run: Callable[..., Any], tmp_path: Path) -> None:
    body = {"tenant_id": "acme", "scenario_id": "feed", "template_id": "video", "name": "Feed"}
    file = tmp_path / "feed.json"
    file.write_text(json.dumps(body | {"overrides": {"fields": {"duration": {"max_value": 60}}}}))
    status, out, err = run("preview", "acme", "feed", "-f", str(file), "--json")
    assert status == 0, err
    assert json.loads(out)["preview"]["then"] == {"pass": 1188, "warn": 12, "reject": 0}
    method, _, sent = asked[-1]
    assert method == "POST"
    assert sent["config"]["required_fields"][0]["max_value"] == 60
    assert run("preview", "acme", "other", "-f", str(file))[0] == 1


def test_a_preview_without_a_candidate_is_of_the_config_in_force(asked: Asked, run: Callable[..., Any]) -> None:
    assert run("preview", "acme", "feed")[0] == 0
    assert asked[-1] == ("POST", f"{ROOT}/acme/feed/preview", {"config": {}, "last": 1000})
    assert run("preview", "acme", "none")[2] == "millrace: not there\n"


def test_a_suggestion_shows_its_evidence_and_is_written_for_apply(
    asked: Asked, run: Callable[..., Any], tmp_path: Path
) -> None:
    status, out, _ = run("suggest", "acme", "feed", "--from", "topic", "--last", "29", "-o", "feed.yaml")
    assert status == 0
    assert asked == [("POST", f"{ROOT}/acme/feed/suggest", {"source": "topic", "hours": 1, "last": 29})]
    assert out.startswith("29 events; scenario type video, confidence 0.8")
    [mood] = [line for line in out.splitlines() if line.startswith("mood")]
    assert mood.split()[:2] == ["mood", "string"]
    assert "saved as the draft of acme/feed; try it: millrace configs preview acme feed --draft" in out
    assert "put it in force: millrace configs apply -f feed.yaml" in out
    [file] = read_configs(tmp_path / "feed.yaml")
    assert {field.field_name for field in (*file.draft.required_fields, *file.draft.optional_fields)} == {
        "duration",
        "mood",
    }
    assert json.loads(run("suggest", "acme", "feed", "--json")[1]) == json.loads(msgspec.json.encode(SUGGESTION))
    assert run("suggest", "acme", "feed", "-o", "no/such/folder.yaml")[0] == 1


def test_a_change_that_waits_for_kafka_is_said(asked: Asked, run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "feed.json").write_bytes(msgspec.json.encode(NARROWER))
    later = "(stored; in force everywhere once Kafka is back)"
    assert f"updated acme/feed: version 2 {later}\n" in run("apply", "-f", "feed.json")[1]
    [step] = json.loads(run("apply", "-f", "feed.json", "--json")[1])["plan"]
    assert (step["done"], step["published"]) == (True, False)
    assert f"what version 1 said (breaking) {later}\n" in run("rollback", "acme", "feed", "1")[1]
    assert f"acme/feed is out of service (version 2) {later}; `" in run("delete", "acme", "feed", "--yes")[1]


def test_what_yaml_cannot_say_is_one_sentence(
    asked: Asked, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, err = run("get", "acme", "deep")
    assert (status, out) == (1, "")
    assert err == "millrace: acme/deep cannot be written as YAML (nested too deep): take it with --json\n"
    assert json.loads(run("get", "acme", "deep", "--json")[1])["scenario_id"] == "deep"

    def overflow(*_: Any) -> None:
        raise RecursionError

    monkeypatch.setattr(ConfigApi, "get", overflow)
    status, out, err = run("get", "acme", "deep", "--json")
    assert (status, err) == (1, f"millrace: {json.loads(out)['error']}\n")
    assert "nests too deep" in err


def test_a_question_is_asked_of_a_terminal_only(
    asked: Asked, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    for stdin, status in ((None, 2), (io.StringIO("y\n"), 2), (terminal, 1)):
        monkeypatch.setattr("sys.stdin", stdin)
        assert run("delete", "acme", "feed")[0] == status
    assert [method for method, _, _ in asked] == ["GET"]


def test_what_is_no_door_is_said_so() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    with ConfigApi("http://127.0.0.1:1", page) as api, pytest.raises(OperatorError, match="is not the HTTP door"):
        api.get("acme", "feed")
    with ConfigApi("nonsense") as api, pytest.raises(ServerAwayError, match="nonsense"):
        api.get("acme", "feed")
