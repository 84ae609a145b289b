"""Client types, read back by parsers of their languages, hold what the config holds, whatever a tenant wrote."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from mypy import api

from tests.tracking_configs.exports_readers import READERS
from tests.tracking_configs.exports_strategies import keyword_config, nasty_configs
from tests.tracking_configs.factories import make_config, make_field, template_config
from tracking_configs.base import DEVICES
from tracking_configs.exports import LANGUAGES
from tracking_configs.exports.example import example_event
from tracking_configs.model import TrackingConfig, known_actions
from tracking_configs.template import load_templates

CONFIGS = [
    *(template_config(template_id) for template_id in load_templates()),
    keyword_config(),
    keyword_config(scenario_id="typed"),  # with a field `dict`: TypedDict
    make_config(scenario_id="kiosk"),
    make_config(scenario_id="empty", scenario_type="video"),
]


def check(language: str, config: TrackingConfig) -> None:
    reading = READERS[language](LANGUAGES[language](config))
    assert reading.payload == {spec.field_name: not is_always_needed(config, spec.field_name) for spec in config.fields}
    enums: list[list[Any]] = [sorted(known_actions(config)), sorted(DEVICES)]
    if language in ("kotlin", "swift"):
        enums = [[config.tenant_id], [config.scenario_id], *enums]
    enums += [
        list(spec.enum_values) for spec in config.fields if spec.enum_values and has_type(language, spec.field_type)
    ]
    assert reading.enums == enums


def has_type(language: str, field_type: str) -> bool:
    """Whether an enum of that field type is a type of its own."""
    return language != "kotlin" or field_type == "string"


def is_always_needed(config: TrackingConfig, name: str) -> bool:
    (spec,) = [each for each in config.fields if each.field_name == name]
    return spec.required and (not spec.required_for or set(spec.required_for) >= known_actions(config))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.scenario_id)
def test_a_stub_holds_the_fields_and_values_of_its_config(language: str, config: TrackingConfig) -> None:
    check(language, config)


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(config=nasty_configs())
def test_so_does_the_stub_of_any_config(language: str, config: TrackingConfig) -> None:
    check(language, config)


# Each line is wrong in one way; strict mypy also refuses an ignore that nothing needs.
WRONG = """
from stub_0 import {prefix}Event, {prefix}Payload

other_scenario: {prefix}Event = {other_scenario!r}  # type: ignore[typeddict-item]
no_user: {prefix}Event = {no_user!r}  # type: ignore[typeddict-item]
wrong_type: {prefix}Payload = {{"word_count": "many"}}  # type: ignore[typeddict-item]
wrong_value: {prefix}Payload = {{"content_type": "poem"}}  # type: ignore[typeddict-item]
undeclared: {prefix}Payload = {{"mood": 1}}  # type: ignore[typeddict-unknown-key]
"""


def test_mypy_takes_the_examples_by_their_types_and_no_wrong_event(tmp_path: Path) -> None:
    for index, config in enumerate(CONFIGS):
        event = example_event(config).event
        text = LANGUAGES["python"](config)
        (tmp_path / f"stub_{index}.py").write_text(f"{text}\n\nexample: {prefix(text)}Event = {event!r}\n", "utf-8")
    event, text = example_event(CONFIGS[0]).event, LANGUAGES["python"](CONFIGS[0])
    no_user = {name: value for name, value in event.items() if name != "user_id"}
    wrong = WRONG.format(prefix=prefix(text), other_scenario={**event, "scenario_id": "x"}, no_user=no_user)
    (tmp_path / "wrong.py").write_text(wrong, "utf-8")
    out, err, status = api.run(["--strict", "--config-file=", f"--cache-dir={tmp_path}/cache", str(tmp_path)])
    assert (status, err) == (0, ""), out


def prefix(stub: str) -> str:
    (found,) = re.findall(r"^class (\w+)Event\(", stub, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_field_does_not_take_the_name_of_the_event_from_it(language: str) -> None:
    field = make_field("event", "string", enum_values=("a", "b"))
    stub = LANGUAGES[language](make_config(fields=[field]))
    assert re.search(r"(class|interface|struct) FeedEvent\b", stub)
    assert re.search(r"(?m)^((export type|enum class|enum) )?FeedEvent2\b", stub)


FEED = make_config(
    fields=[
        make_field(
            "class", "string", required=True, enum_values=("360p", "2K", "2k", "標準"), description="*/ A class"
        ),
        make_field("watch_s", "integer", required_for=("play",), min_value=0, default=3),
    ]
)


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "python",
            """
            FeedClass = Literal["360p", "2K", "2k", "標準"]
            "class": FeedClass,
            # Integer, at least 0. Required for play. Default 3.
            "watch_s": NotRequired[int | None],
            scenario_id: Literal["feed"]
            """,
        ),
        (
            "typescript",
            """
            export type FeedClass = "360p" | "2K" | "2k" | "標準";
            /** String. Required. * / A class. */
            "class": FeedClass;
            watch_s?: number | null;
            scenario_id: "feed";
            """,
        ),
        (
            "kotlin",
            """
            VALUE_360P,
            VALUE_2K_2,
            VALUE,
            val `class`: FeedClass,
            @SerialName("watch_s")
            val watchS: Long? = null,
            val scenarioId: FeedScenario = FeedScenario.FEED,
            """,
        ),
        (
            "swift",
            """
            case value2k_2 = "2k"
            case value = "標準"
            var `class`: FeedClass
            var watchS: Int64?
            case watchS = "watch_s"
            var scenarioId: FeedScenario = .feed
            """,
        ),
    ],
)
def test_a_stub_reads_so(language: str, lines: str) -> None:
    wanted = [line.strip() for line in lines.strip().splitlines()]
    got = [line.strip() for line in LANGUAGES[language](FEED).splitlines()]
    assert [line for line in got if line in wanted] == wanted
