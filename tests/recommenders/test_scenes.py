"""The pipeline file: the built-in one, a tenant's own, and what is refused."""

from pathlib import Path

import pytest

from recommenders.registry import build_runner
from recommenders.scenes import BUILT_IN_DIR, PipelineFileError, load_pipeline, parse_pipeline
from recommenders.stores import Stores

SMALL = """
default_scene: feed
scenes: [{name: feed, scenarios: [vlog_feed]}]
sources: [{part: hot, quota: 10}]
selector: {part: top}
"""


def test_the_built_in_pipeline_feeds_home_by_every_scenario_and_game_scenes_by_game() -> None:
    pipeline = load_pipeline("acme")
    assert pipeline.default_scene == "home"
    assert [scene.name for scene in pipeline.scenes_fed_by("vlog_feed")] == ["home"]
    assert [scene.name for scene in pipeline.scenes_fed_by("game")] == ["home", "slots", "crash", "live"]
    slots = pipeline.scene("slots")
    assert slots is not None
    assert slots.categories == {"slots"}
    assert pipeline.scene("nowhere") is None


def test_every_part_of_the_built_in_pipeline_exists() -> None:
    stages = build_runner(load_pipeline("acme"), Stores.empty()).stages
    assert [stage.name for stage in stages.sources] == ["item_cf", "hot", "new_items"]
    assert [stage.name for stage in stages.filters] == ["already_seen", "inactive", "out_of_scene"]


def test_a_tenants_own_file_goes_before_the_directorys_default_and_that_before_the_built_in(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(SMALL)
    assert load_pipeline("acme", tmp_path).default_scene == "feed"
    assert load_pipeline("other", tmp_path) == load_pipeline("other")
    (tmp_path / "default.yaml").write_text(SMALL.replace("feed", "wall"))
    assert load_pipeline("other", tmp_path).default_scene == "wall"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("quota: 10", "quotum: 10", "unknown field `quotum`"),
        ("name: feed,", "name: feed, categorys: [a],", "unknown field `categorys`"),
        ("default_scene: feed", "default_scene: home", "default_scene: there is no 'home', only feed"),
        ("quota: 10", "quota: many", "Expected `int`, got `str`"),
        ("quota: 10", "quota: 10, scenes: [wall]", "scene of part 'hot': there is no 'wall', only feed"),
        ("[{part: hot, quota: 10}]", "[{part: hot, quota: 1}, {part: hot, quota: 2}]", "part 'hot' stands twice"),
        ("{part: top}", "{part: top, slots: {new: [1]}}", "in the selector's slots: there is no 'new', only hot"),
        ("sources", "sources: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence_that_names_what_is_wrong(old: str, new: str, message: str) -> None:
    with pytest.raises(PipelineFileError) as caught:
        parse_pipeline(SMALL.replace(old, new, 1), name="acme.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("acme.yaml: ")


def test_a_part_that_does_not_exist_is_refused_by_name() -> None:
    pipeline = parse_pipeline(SMALL.replace("part: hot", "part: hott"), name="acme.yaml")
    with pytest.raises(PipelineFileError, match="there is no source 'hott', only item_cf, hot, new_items"):
        build_runner(pipeline, Stores.empty())


def test_each_built_in_file_can_be_read() -> None:
    for file in BUILT_IN_DIR.glob("*.yaml"):
        parse_pipeline(file.read_text(), name=file.name)
