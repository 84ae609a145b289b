"""Every example file goes through the judge."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.event import Event
from tests.tracking_configs.factories import accepted, at_door, codes, encode, example_judge, on_topic, rejected
from tracking_configs.judge import wire_value
from tracking_configs.template import load_templates

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
JUDGE = example_judge()


def read(kind: str, name: str) -> Any:
    return json.loads((EXAMPLES / kind / f"{name}.json").read_text("utf-8"))


def names(kind: str) -> list[str]:
    return sorted(file.stem for file in (EXAMPLES / kind).glob("*.json"))


@pytest.mark.parametrize("name", names("event"))
def test_a_good_event_is_accepted_without_a_word(name: str) -> None:
    assert accepted(JUDGE.judge(encode(read("event", name)), at_door())).validation_warnings == ()


@pytest.mark.parametrize("name", names("event"))
def test_the_stream_judges_as_the_door_did(name: str) -> None:
    body = encode(read("event", name))
    at_the_door = accepted(JUDGE.judge(body, at_door()))
    in_the_stream = accepted(JUDGE.judge(wire_value(body, at_the_door), on_topic(source="http")))
    same = [field for field in Event.__struct_fields__ if field not in {"partition", "offset"}]
    assert [getattr(in_the_stream, field) for field in same] == [getattr(at_the_door, field) for field in same]
    assert (in_the_stream.partition, in_the_stream.offset) == (3, 41)


@pytest.mark.parametrize("name", names("warned"))
def test_a_warned_event_is_accepted_with_its_warnings(name: str) -> None:
    example = read("warned", name)
    event = accepted(JUDGE.judge(encode(example["event"]), at_door()))
    assert codes(event.validation_warnings) == [(each["field"], each["code"]) for each in example["warnings"]]


@pytest.mark.parametrize("name", names("rejected"))
def test_a_rejected_event_has_all_its_errors(name: str) -> None:
    example = read("rejected", name)
    verdict = rejected(JUDGE.judge(encode(example["event"]), at_door()))
    assert codes(verdict.errors) == [(each["field"], each["code"]) for each in example["errors"]]


@pytest.mark.parametrize("template_id", load_templates())
def test_the_example_of_a_template_is_an_example_file(template_id: str) -> None:
    assert read("event", template_id) == load_templates()[template_id].example
