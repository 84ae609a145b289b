"""The command line as a user meets it: help, exit status, sentences."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.cli.main import COMMANDS, main
from infra.cli.running import cli_settings, find_running
from infra.errors import OperatorError
from infra.settings import load_settings

ENDPOINTS = {
    "http": "http://127.0.0.1:1",
    "grpc": "127.0.0.1:1",
    "kafka": "127.0.0.1:1",
    "redis": "redis://127.0.0.1:1/0",
    "clickhouse": "http://127.0.0.1:1",
    "mongo": "mongodb://127.0.0.1:1",
}


@pytest.fixture(autouse=True)
def empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("MILLRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> int:
    """Exit status of `millrace` with these words."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    code = ended.value.code
    assert isinstance(code, int | None)
    return code or 0


def test_help_lists_every_command_and_is_quick() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "infra.cli", "--help"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert time.perf_counter() - started < 10  # a wedged import, not a benchmark
    assert not [name for name in COMMANDS if name not in done.stdout]
    heavy = ("aiokafka", "faust", "clickhouse_connect", "fastapi", "pymongo", "grpc", "pydantic")
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not imported & set(heavy)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert "Usage: millrace" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "words",
    [
        ("setings",),
        ("settings", "--no-such-option"),
        ("serve", "ftp"),
        ("worker", "bee"),
        ("send", "events.jsonl"),
        ("send", "events.jsonl", "--tenant", "t", "--door", "smtp"),
        ("send", "events.jsonl", "--tenant", "No Tenant", "--door", "http"),
        ("tail", "acme", "--raw", "--rejected"),
        ("demo", "--events", "1"),
    ],
)
def test_wrong_use_is_2(words: tuple[str, ...]) -> None:
    assert run(*words) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("send", "gone.jsonl", "--tenant", "t", "--door", "http"), "gone.jsonl"),
        (("sql", "SELECT 1"), "ClickHouse does not answer"),
        (("tail", "acme"), "Kafka does not answer"),
    ],
)
def test_a_failure_is_1_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    monkeypatch.setenv("MILLRACE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MILLRACE_CLICKHOUSE", "http://127.0.0.1:1")
    assert run(*words) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("millrace: ")
    assert says in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_DEBUG", "1")
    with pytest.raises(OperatorError):
        main(["send", "gone.jsonl", "--tenant", "t", "--door", "http"])


def test_settings_are_shown_as_json_and_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("settings", "--json") == 0
    assert json.loads(capsys.readouterr().out)["MILLRACE_HTTP_PORT"] == "8080"
    assert run("settings", "--markdown") == 0
    assert capsys.readouterr().out.startswith("| variable | default | meaning |")


def test_settings_come_from_a_running_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_endpoints(tmp_path / "data", pid=alive())
    monkeypatch.setenv("MILLRACE_MONGO", "mongodb://mine")
    assert run("settings", "--json", "--data-dir", "data") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["MILLRACE_REDIS"] == ENDPOINTS["redis"]
    assert shown["MILLRACE_MONGO"] == "mongodb://mine"


def test_a_platform_that_has_ended_is_not_found(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_endpoints(tmp_path, pid=ended.pid)
    assert find_running(tmp_path) is None


@pytest.mark.parametrize(
    "words",
    [
        ("sql", "SELECT 1"),
        ("tail", "acme"),
        ("send", "events.jsonl", "--tenant", "t", "--door", "http"),
        ("doctor",),
        ("configs", "list"),
        ("configs", "delete", "acme", "feed", "--yes"),
    ],
)
def test_a_data_directory_without_a_platform_is_said_and_no_other_is_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "events.jsonl").write_text("{}")
    assert run(*words, "--data-dir", "elsewhere") == 1
    assert capsys.readouterr().err.startswith("millrace: no platform runs with its data in elsewhere: name another")


def test_so_is_one_that_the_environment_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_DATA_DIR", "elsewhere")
    assert run("erase", "u7", "--tenant", "acme", "--yes") == 1
    assert capsys.readouterr().err.startswith("millrace: no platform runs with its data in elsewhere: name another")


def test_without_a_data_directory_the_settings_are_taken(tmp_path: Path) -> None:
    assert cli_settings(None) == (load_settings(), None)
    write_endpoints(tmp_path / ".millrace", pid=alive())
    assert cli_settings(None)[1] == find_running(tmp_path / ".millrace")


def test_an_endpoints_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("[]")
    with pytest.raises(OperatorError, match=r"endpoints\.json"):
        find_running(tmp_path)


def test_the_doctor_names_what_is_down_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("infra.checks.TIMEOUT_S", 2.0)
    for name, dsn in ENDPOINTS.items():
        if name not in {"http", "grpc"}:
            monkeypatch.setenv(f"MILLRACE_{name.upper()}", dsn)
    assert run("doctor", "--json") == 1
    findings = json.loads(capsys.readouterr().out)
    assert [finding["server"] for finding in findings] == ["kafka", "redis", "clickhouse", "mongo"]
    assert not [finding for finding in findings if finding["ok"]]
    assert all(finding["problem"] and "MILLRACE_" in finding["advice"] for finding in findings)


def write_endpoints(data_dir: Path, *, pid: int) -> None:
    data_dir.mkdir(exist_ok=True)
    (data_dir / "endpoints.json").write_text(json.dumps(ENDPOINTS | {"pid": pid}))


def alive() -> int:
    return os.getpid()
