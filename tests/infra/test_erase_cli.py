"""`millrace erase` and `millrace verify-receipt` as a user meets them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from infra.cli.main import main
from ingest_api.erasure_receipt import LEFT_TO_TIME, Receipt, sign, user_hash
from schemas.erased import key_id
from tests.factories import NOON

KEY = "a key of the tests alone"
RECEIPT = sign(
    Receipt(
        tenant_id="acme",
        user=user_hash(KEY.encode(), "acme", "u/1"),
        requested_at=NOON,
        finished_at=NOON + 2000,
        erased={"redis_keys": 9},
        left_to_time=LEFT_TO_TIME,
        key_id=key_id(KEY.encode()),
    ),
    KEY.encode(),
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; its exit status, stdout and stderr. The key is that of RECEIPT."""
    monkeypatch.setenv("MILLRACE_ERASURE_KEY", KEY)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        written = capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    return run


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """The calls that a door took, which answers with RECEIPT, and 503 for the user `away`."""
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if request.url.path.endswith("/away"):
            return httpx.Response(
                503, json={"success": False, "message": "Redis unavailable: make the same call again"}
            )
        return httpx.Response(200, content=msgspec.json.encode(RECEIPT))

    def delete(url: str, **options: Any) -> httpx.Response:
        timeout = options.pop("timeout")
        with httpx.Client(transport=httpx.MockTransport(answer), timeout=timeout) as client:
            return client.delete(url, **options)

    monkeypatch.setattr(httpx, "delete", delete)
    return calls


ERASE = ("erase", "u/1", "--tenant", "acme", "--url", "http://door", "--yes")


def test_the_receipt_is_written_and_verifies(run: Run, door: list[httpx.Request], tmp_path: Path) -> None:
    out = tmp_path / "receipt.json"
    status, said, _ = run(*ERASE, "--out", str(out))
    assert (status, "9 redis_keys" in said) == (0, True)
    assert door[0].url.raw_path == b"/api/v1/user/u%2F1"
    assert door[0].headers["x-tenant-id"] == "acme"
    assert msgspec.json.decode(out.read_bytes(), type=Receipt) == RECEIPT
    assert run("verify-receipt", str(out))[0] == 0
    status, said, _ = run("verify-receipt", str(out), "--user", "u/1", "--json")
    assert (status, json.loads(said)) == (0, {"valid": True, "tenant_id": "acme", "problem": None})
    assert run(*ERASE, "--out", str(out))[0] == 1  # a receipt is not written over
    assert len(door) == 1


def test_json_prints_the_receipt(run: Run, door: list[httpx.Request]) -> None:
    status, said, _ = run(*ERASE, "--json")
    assert (status, msgspec.json.decode(said, type=Receipt)) == (0, RECEIPT)


def test_a_store_that_is_away_is_one_sentence(run: Run, door: list[httpx.Request]) -> None:
    status, _, why = run("erase", "away", "--tenant", "acme", "--url", "http://door", "--yes")
    assert (status, "Redis unavailable" in why) == (1, True)


@pytest.mark.parametrize(
    ("change", "words", "why"),
    [
        ({"erased": {}}, (), "changed after it was signed"),
        ({"key_id": "0" * 16}, (), "another key signed it"),
        ({}, ("--user", "u2"), "of another user"),
    ],
)
def test_what_proves_nothing_is_told_and_fails(
    run: Run, tmp_path: Path, change: dict[str, Any], words: tuple[str, ...], why: str
) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(RECEIPT, **change)))
    status, _, said = run("verify-receipt", str(file), *words)
    assert (status, why in said) == (1, True)


def test_a_file_that_is_no_receipt_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    for name in ("x.json", "absent.json"):
        status, _, said = run("verify-receipt", str(tmp_path / name))
        assert (status, "name" in said) == (1, True)


def test_a_tenant_that_cannot_be_is_wrong_use(run: Run) -> None:
    assert run("erase", "u1", "--tenant", "No Tenant", "--yes")[0] == 2
