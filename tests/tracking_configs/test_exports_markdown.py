"""The page's example is clean by its own config, and nothing that a tenant wrote is more than text in it."""

import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt

from schemas.event import Event
from tests.tracking_configs.exports_strategies import keyword_config, nasty_configs
from tests.tracking_configs.factories import (
    accepted,
    at_door,
    make_config,
    make_field,
    make_registry,
    template_config,
)
from tracking_configs.base import BASE_FIELDS, CONTEXT_FIELDS
from tracking_configs.exports.markdown import docs_page
from tracking_configs.exports.words import CONTEXT_MEANINGS, MEANINGS
from tracking_configs.judge import Judge
from tracking_configs.model import TrackingConfig, known_actions
from tracking_configs.template import load_templates

MARKDOWN = MarkdownIt("commonmark").enable("table")
TEMPLATES = [template_config(template_id) for template_id in load_templates()]
CURL = "curl() { cat; }\n"  # prints what it would post
SHELL = shutil.which("sh") or "sh"


def snippet(page: str) -> str:
    (fence,) = [token for token in MARKDOWN.parse(page) if token.type == "fence"]
    assert fence.info == "sh"
    return fence.content


def posted(page: str) -> bytes:
    """What the page's command would send, by a shell."""
    run = subprocess.run([SHELL, "-c", CURL + snippet(page)], capture_output=True, check=True)
    assert run.stderr == b""
    return run.stdout


def example_of(page: str) -> bytes:
    """The same without a shell."""
    lines = snippet(page).splitlines()
    return "\n".join(lines[lines.index("{") : -1]).encode()


def judged(config: TrackingConfig, body: bytes) -> Event:
    return accepted(Judge(make_registry(config)).judge(body, at_door()))


def tables(page: str) -> list[list[list[str]]]:
    """Rows of cells, as text that is left of each when it is shown."""
    found: list[list[list[str]]] = []
    for token in MARKDOWN.parse(page):
        match token.type:
            case "table_open":
                found.append([])
            case "tr_open":
                found[-1].append([])
            case "inline" if token.level == TEXT_IN_A_CELL:
                found[-1][-1].append("".join(child.content for child in token.children or ()))
    return found


TEXT_IN_A_CELL = 4  # table, thead or tbody, tr, th or td


@pytest.mark.parametrize("config", TEMPLATES, ids=lambda config: config.scenario_id)
def test_the_example_of_a_template_s_page_is_clean(config: TrackingConfig) -> None:
    assert judged(config, posted(docs_page(config))).validation_warnings == ()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nasty_configs(with_patterns=False))
def test_the_example_of_any_page_is_clean_patterns_aside(config: TrackingConfig) -> None:
    assert judged(config, example_of(docs_page(config))).validation_warnings == ()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nasty_configs(with_patterns=False))
def test_a_shell_posts_the_example_as_it_stands(config: TrackingConfig) -> None:
    page = docs_page(config)
    assert posted(page).strip() == example_of(page)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nasty_configs())
def test_a_page_has_its_own_structure_whatever_a_tenant_wrote(config: TrackingConfig) -> None:
    page = docs_page(config)
    tokens = MARKDOWN.parse(page)
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1"] + ["h2"] * 6
    children = {child.type for token in tokens for child in token.children or ()}
    assert children <= {"text", "text_special", "code_inline", "link_open", "link_close", "softbreak"}
    assert "html_block" not in {token.type for token in tokens}
    base, *fields, actions = tables(page)
    assert {len(row) for row in base} == {4}
    assert [len(row) for table in fields for row in table] == [6] * (len(config.fields) + bool(config.fields))
    assert {len(row) for row in actions} == {4}
    assert len(actions) - 1 == len(known_actions(config))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nasty_configs())
def test_what_a_tenant_wrote_is_read_as_it_was_written(config: TrackingConfig) -> None:
    page = docs_page(config)
    heading = MARKDOWN.parse(page)[1]
    assert shown(heading) == on_a_line(config.name)
    described = [row[4] for table in tables(page)[1:-1] for row in table[1:]]
    assert described == [on_a_line(spec.description) for spec in config.fields]


def shown(token: Any) -> str:
    return "".join(child.content for child in token.children or ())


def on_a_line(text: str) -> str:
    """Its words, without what nobody sees."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())


def test_words_of_any_language_are_taken() -> None:
    config = keyword_config()
    assert judged(config, posted(docs_page(config))).validation_warnings == ()


def test_the_page_says_which_value_it_could_not_make_up() -> None:
    code = make_field("code", "string", required=True, pattern="^[A-Z]{3}-[0-9]{4}$")
    page = docs_page(make_config(fields=[code, make_field("note", "string", pattern="^#")]))
    assert "This example is not complete" in page
    assert "`scenario_data.custom_data.code`: required string is missing" in page
    assert '"note"' not in page


def test_a_default_that_is_right_stands_in_the_example() -> None:
    code = make_field("code", "string", required=True, pattern="^[A-Z]{3}-[0-9]{4}$", default="ABC-1234")
    assert '"code": "ABC-1234"' in docs_page(make_config(fields=[code]))


def test_an_override_that_the_template_s_example_breaks_changes_the_example() -> None:
    config = template_config("video", fields={"watch_duration": {"max_value": 60}, "mood": {"field_type": "string"}})
    page = docs_page(config)
    assert '"watch_duration": 1,' in page
    assert '"mood": "text"' in page
    assert judged(config, posted(page)).validation_warnings == ()


def test_rows_of_the_page_read_so() -> None:
    fields, actions = tables(docs_page(template_config("music")))[1:]
    rows = {row[0]: row[1:] for row in fields + actions}
    assert rows["duration"] == ["integer", "", "play_end", "Length of the track in seconds", ""]
    assert rows["audio_quality"][1].startswith('one of "standard", "high", "lossless"; also taken: "标准" for "stand')
    assert rows["play_end"] == ["2", "yes", "duration, play_duration"]
    assert rows["impression"] == ["0", "", ""]


@pytest.mark.parametrize(
    ("enforcement", "sentence"),
    [("warn", "stored with what is wrong in `validation_warnings`"), ("reject", "HTTP answers 400")],
)
def test_the_page_says_what_happens_to_an_event_that_breaks_a_rule(enforcement: str, sentence: str) -> None:
    assert sentence in docs_page(make_config(enforcement=enforcement))


def test_the_page_says_what_is_read_from_an_event() -> None:
    page = docs_page(template_config("video", session_gap_min=45, category_fields=["video_quality"]))
    assert "A session ends after 45 minutes" in page
    assert "`watch_duration`, in seconds" in page
    assert "`completion_rate`, 0 to 1" in page
    assert "the first of `video_quality` that an event has" in page
    assert "unless it says that less than 0.3 of the item was consumed" in page


def test_the_page_links_to_what_machines_read() -> None:
    page = docs_page(make_config(scenario_id="a b)[x](y"))
    tokens = [child for token in MARKDOWN.parse(page) for child in token.children or ()]
    links = [str(child.attrs["href"]) for child in tokens if child.type == "link_open"]
    root = "/api/v1/tracking-configs/acme/a%20b%29%5Bx%5D%28y"
    assert links[:2] == [f"{root}/schema.json", f"{root}/schema.avsc"]
    assert links[2:] == [f"{root}/types?lang={name}" for name in ("python", "typescript", "kotlin", "swift")]


def test_every_field_of_the_base_has_a_meaning() -> None:
    assert MEANINGS.keys() == BASE_FIELDS.keys()
    assert CONTEXT_MEANINGS.keys() == CONTEXT_FIELDS.keys()
