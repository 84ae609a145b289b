"""The HTTP door keeps what its OpenAPI document says, whatever is sent to it."""

import json
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from infra.stack.endpoints import Endpoints
from ingest_api.http.app import OPENAPI_PATH, SCHEMA_PARTS
from tests.ingest_api.described_calls import Document, body_examples, calls, operations
from tests.ingest_api.real_door import NOWHERE, real_app, served_door

TENANT = f"t{secrets.token_hex(4)}"
SETTINGS = Path(__file__).with_name("schemathesis.toml")

embedded = pytest.mark.parametrize(
    "stack_kind", [pytest.param("embedded", marks=pytest.mark.stack)], indirect=True, scope="session"
)


@pytest.fixture(scope="module")
async def document() -> Document:
    async with (
        real_app(NOWHERE, "none", "acme") as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as door,
    ):
        found: Document = (await door.get(OPENAPI_PATH)).json()
    return found


@pytest.fixture(scope="module")
def door(stack: Endpoints) -> Iterator[str]:
    """URL of the door. It runs on uvloop, as `millrace` has it, in a thread of its own: who asks it may block."""
    options = {"use_uvloop": True}
    with (
        start_blocking_portal(backend_options=options) as portal,
        portal.wrap_async_context_manager(served_door(stack, TENANT)) as url,
    ):
        yield url


@pytest.fixture(scope="module")
def own(document: Document) -> Document:
    """The document, its examples about a tenant that no other test knows."""
    found: Document = json.loads(_own(json.dumps(document)))
    return found


@pytest.fixture(scope="module")
def answers(door: str, own: Document) -> dict[str, httpx.Response]:
    """What every call with a body answers to its example, in the document's order; what they wrote is there then."""
    with httpx.Client(base_url=door, timeout=30) as client:
        return {call.name: client.send(call.request(client)) for call in calls(own) if call.body is not None}


def _own(text: str) -> str:
    return text.replace('"acme"', f'"{TENANT}"')


def test_the_document_is_openapi(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in Draft202012Validator(OPENAPI_31).iter_errors(document)] == []
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_no_two_parts_of_the_document_call_their_schemas_the_same() -> None:
    names = Counter(name for part in SCHEMA_PARTS for name in part)
    assert [name for name, times in names.items() if times > 1] == []


def test_every_call_has_a_summary_and_a_tag_that_is_described(document: Document) -> None:
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert operation["tags"], name
        assert described.issuperset(operation["tags"]), name


def test_every_body_and_every_answer_has_an_example_of_its_form(document: Document) -> None:
    for name, operation in operations(document).items():
        bodies = {"request": operation["requestBody"]} if "requestBody" in operation else {}
        for part, body in (bodies | operation["responses"]).items():
            assert body["content"], (name, part)
            for content in body["content"].values():
                assert body_examples(document, content), (name, part)
                validator = Draft202012Validator(content["schema"] | {"components": document["components"]})
                for example in body_examples(document, content):
                    assert [error.message for error in validator.iter_errors(example)] == [], (name, part)


@embedded
def test_the_example_of_every_request_is_taken(answers: dict[str, httpx.Response]) -> None:
    assert len(answers) > 10
    assert {name: answer.text for name, answer in answers.items() if not answer.is_success} == {}


@embedded
@pytest.mark.timeout(400)
def test_no_call_fails_or_answers_what_is_not_documented(
    door: str, own: Document, answers: dict[str, httpx.Response], tmp_path: Path
) -> None:
    """Schemathesis makes the requests, good ones and bad ones; its settings say what it looks for."""
    assert answers
    (tmp_path / "openapi.json").write_text(json.dumps(own))
    (tmp_path / "schemathesis.toml").write_text(_own(SETTINGS.read_text()))
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", door]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"Tested: {len(operations(own))}" in run.stdout
