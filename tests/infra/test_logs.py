"""Log lines: one form, no secrets."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from infra.logs import configure_logging, hide_secrets
from infra.settings import Settings


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()


def settings(**changed: str) -> Settings:
    return Settings.model_validate({"log_format": "json", **changed})


def test_a_line_is_json_on_stderr_with_role_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(), role="stream")
    with structlog.contextvars.bound_contextvars(tenant="acme"):
        structlog.get_logger().info("batch_applied", events=3)
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert captured.out == ""
    assert (line["event"], line["tenant"], line["role"], line["events"]) == ("batch_applied", "acme", "stream", 3)


def test_libraries_speak_in_the_same_form_and_only_of_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(), role="stream")
    logging.getLogger("aiokafka.consumer").info("chatter")
    logging.getLogger("aiokafka.consumer").warning("lost redis://me:s3cret@h:1")
    [line] = map(json.loads, capsys.readouterr().err.splitlines())
    assert line["logger"] == "aiokafka.consumer"
    assert line["event"] == "lost redis://me:***@h:1"


@pytest.mark.parametrize("name", ["password", "api_key", "client_secret", "access_token", "Authorization"])
def test_a_value_under_a_secrets_name_is_hidden(name: str) -> None:
    assert hide_secrets(None, "info", {name: "s3cret"}) == {name: "***"}


def test_below_the_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(log_level="warning"), role="http")
    structlog.get_logger().info("quiet")
    assert capsys.readouterr().err == ""
