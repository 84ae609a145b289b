"""Configs in files: how they are read, what applying them would do, and doing it; over a platform that is a dict."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configs.apply import ApplyError, apply_steps, check_leave
from infra.configs.client import ConfigApiError
from infra.configs.file_form import Signature, file_body, parse_file
from infra.configs.files import ConfigFile, ConfigFilesError, read_configs
from infra.configs.plan import Action, Step, candidate_of, plan, summary
from infra.errors import OperatorError
from ingest_api.http.config_bodies import Candidate
from tests.tracking_configs.factories import make_config, make_field, template_config
from tracking_configs.diff import Verdict, compare
from tracking_configs.errors import InvalidConfigError
from tracking_configs.from_template import from_template
from tracking_configs.model import ConfigDraft, TrackingConfig, config_of, draft_of, parse_draft
from tracking_configs.plain_text import parse_yaml, yaml_text
from tracking_configs.template import load_templates

NOBODY = Signature()
PARKING = """
tenant_id: acme
scenario_id: parking
scenario_type: custom
name: Parking
fields:
  minutes: {field_type: integer, required_for: [park], min_value: 1}
  level: {field_type: string, enum_values: [P1, P2]}
  plate: {field_type: string, required: true}
actions: [park]
weights: {park: 3}
"""
VLOG = """
tenant_id: acme
scenario_id: vlog
template_id: video
name: Vlog
overrides: {fields: {duration: {max_value: 600}, buffer_time: null}, actions: {binge: 4}}
"""


class FakePlatform:
    """A platform's configs; `refuses` raises for the scenarios it names."""

    def __init__(self, *configs: TrackingConfig, refuses: dict[str, OperatorError] | None = None) -> None:
        self.configs = {(config.tenant_id, config.scenario_id): config for config in configs}
        self.refuses = refuses or {}

    def find(self, tenant: str, scenario: str) -> TrackingConfig | None:
        return self.configs.get((tenant, scenario))

    def create(self, draft: ConfigDraft, by: Signature) -> dict[str, Any]:
        return self._put(draft, by, 1)

    def replace(self, draft: ConfigDraft, by: Signature, seen: int, allow_breaking: bool | None) -> dict[str, Any]:
        assert self.configs[draft.tenant_id, draft.scenario_id].version == seen
        return self._put(draft, by, seen + 1)

    def _put(self, draft: ConfigDraft, by: Signature, version: int) -> dict[str, Any]:
        if draft.scenario_id in self.refuses:
            raise self.refuses[draft.scenario_id]
        config = config_of(draft, version=version, created_at=0, updated_at=0, author=by.author, reason=by.reason)
        self.configs[draft.tenant_id, draft.scenario_id] = config
        return {}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text, "utf-8")
    return folder


def file_of(config: TrackingConfig) -> ConfigFile:
    return ConfigFile(Path("x.yaml"), draft_of(config), NOBODY)


def apply(platform: FakePlatform, files: list[ConfigFile], by: Signature = NOBODY) -> list[Step]:
    return [done.step for done in apply_steps(platform, plan(files, platform.find), by, "ana", None)]


def test_a_file_is_the_body_of_a_config_with_its_fields_by_name() -> None:
    draft, signature = parse_file(parse_yaml(PARKING) | {"author": "bo", "version": 7, "is_active": True})
    assert [field.field_name for field in draft.required_fields] == ["minutes", "plate"]
    assert [field.field_name for field in draft.optional_fields] == ["level"]
    assert draft.weights == {"park": 3}
    assert signature == Signature("bo", "")


def test_a_file_is_a_template_with_overrides() -> None:
    draft, _ = parse_file(parse_yaml(VLOG))
    overrides = parse_yaml(VLOG)["overrides"]
    assert draft == from_template(load_templates()["video"], "acme", "vlog", "Vlog", overrides)


def test_a_file_is_what_the_api_answers() -> None:
    config = template_config("video")
    assert parse_file(msgspec.to_builtins(config))[0] == draft_of(config)


@pytest.mark.parametrize("template_id", load_templates())
def test_a_config_written_to_a_file_and_read_again_is_the_same(template_id: str) -> None:
    config = template_config(template_id)
    assert parse_file(parse_yaml(yaml_text(file_body(draft_of(config)))))[0] == draft_of(config)


@given(
    required=st.booleans(),
    required_for=st.sampled_from([(), ("park",)]),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    dwell=st.sampled_from([None, {"field": "stay", "unit": "s"}]),
)
def test_any_config_survives_its_file(
    required: bool, required_for: tuple[str, ...], text: str, dwell: dict[str, str] | None
) -> None:
    fields = (
        make_field("place", "string", required=required, required_for=required_for, description=text, default=text),
        make_field("stay", "integer", min_value=0, default=0),
        make_field("grade", "string", enum_values=("no", "1e5", "017"), enum_aliases={"~": "no"}),
    )
    config = make_config(fields=fields, actions=["park"], dwell=dwell, description=text, hot_half_life_h=1.5)
    assert parse_file(parse_yaml(yaml_text(file_body(draft_of(config)))))[0] == draft_of(config)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"scenario_type": None}, "scenario_type"),
        ({"fields": {"minutes": {"field_type": "colour"}}}, r"fields\.minutes\.field_type: unknown type 'colour'"),
        (
            {"fields": {"minutes": {"field_type": "integer", "min_value": "1"}}},
            r"fields\.minutes\.min_value: expected a number or null, got a string",
        ),
        ({"fields": {"ok": {"field_type": "string"}, "Bad": {"field_type": "string"}}}, r"fields\.Bad\.field_name"),
        ({"fields": {"minutes": None}}, r"fields\.minutes: expected an object"),
        ({"fields": []}, "fields: expected an object of field names"),
        ({"optional_fields": []}, "fields: stands beside"),
        ({"weights": {"swim": 1}}, "swim"),
        ({"tenant_id": "Acme"}, "tenant_id: not a tenant's name"),
        ({"is_active": False}, "millrace configs delete"),
        ({"author": 7}, "author: expected a string, got a number"),
        ({"weights": {"park": "much"}}, r"weights\.park: expected a number, got a string"),
        ({"dwell": {"field": "minutes", "unit": "h"}}, r"dwell\.unit: unknown value 'h'"),
        ({"recall_mix": {"hot": {}}}, r"recall_mix\.hot\.quota: missing"),
        ({"colour": "red"}, "colour: there is no such part"),
    ],
)
def test_a_wrong_part_of_a_file_is_named_with_its_path(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfigError, match=says):
        parse_file(parse_yaml(PARKING) | parts)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"template_id": "opera"}, "template_id: there is no template 'opera'"),
        ({"overrides": {"colour": "red"}}, r"overrides\.colour: cannot be overridden"),
        ({"overrides": {"fields": {"duration": {"min_value": 9, "max_value": 1}}}}, r"fields\.duration\.min_value"),
        ({"scenario_type": "video"}, "scenario_type: there is no such part"),
    ],
)
def test_a_wrong_override_of_a_file_is_named_with_its_path(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfigError, match=says):
        parse_file(parse_yaml(VLOG) | parts)


def test_every_wrong_part_of_every_field_is_named() -> None:
    fields = {
        "a": {"field_type": "string", "min_value": "1", "colour": 1},
        "b": {"pattern": 1},
        "c": {"field_type": "string"},
        "d": [],
        "e": {"field_type": "string", "min_length": 1.5, "enum_aliases": {"x": "y", "z": 1}},
    }
    with pytest.raises(InvalidConfigError) as caught:
        parse_file(parse_yaml(PARKING) | {"fields": fields, "name": 1})
    assert [tuple(problem) for problem in caught.value.problems] == [
        ("name", "expected a string, got a number"),
        ("fields.a.min_value", "expected a number or null, got a string"),
        ("fields.a.colour", "there is no such part"),
        ("fields.b.field_type", "missing"),
        ("fields.b.pattern", "expected a string or null, got a number"),
        ("fields.d", "expected an object with the field's parts"),
        ("fields.e.min_length", "expected a whole number or null, got a fraction"),
        ("fields.e.enum_aliases.z", "expected a string, got a number"),
    ]


def test_every_wrong_part_of_listed_fields_is_named() -> None:
    body = {name: value for name, value in parse_yaml(PARKING).items() if name != "fields"}
    listed = [{"field_type": "string"}, 7, {"field_name": "x", "field_type": "string", "required": "yes"}]
    with pytest.raises(InvalidConfigError) as caught:
        parse_file(body | {"optional_fields": listed})
    assert [tuple(problem) for problem in caught.value.problems] == [
        ("optional_fields[0].field_name", "missing"),
        ("optional_fields[1]", "expected an object with the field's parts"),
        ("optional_fields[2].required", "expected true or false, got a string"),
    ]


def test_every_wrong_override_is_named() -> None:
    fields = {"duration": {"max_value": "x"}, "mood": {"pattern": 1}, "buffer_time": None, "new": {"field_name": "old"}}
    overrides = {"fields": fields, "hot_half_life_h": "1", "weights": {"like": "x"}, "actions": 3, "colour": "red"}
    with pytest.raises(InvalidConfigError) as caught:
        parse_file(parse_yaml(VLOG) | {"overrides": overrides})
    said = {problem.field: problem.message for problem in caught.value.problems}
    assert said["overrides.fields.duration.max_value"] == "expected a number or null, got a string"
    assert said["overrides.fields.mood.field_type"] == "missing"
    assert said["overrides.fields.mood.pattern"] == "expected a string or null, got a number"
    assert said["overrides.fields.new.field_name"] == "a field cannot be renamed"
    assert said["overrides.hot_half_life_h"] == "expected a number, got a string"
    assert said["overrides.actions"] == "expected a list, got a number"
    assert said["overrides.colour"].startswith("cannot be overridden")
    assert said["overrides.weights.like"] == "expected a number, got a string"


def test_a_folder_is_every_config_below_it_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".github").mkdir()
    write(tmp_path, readme_md="no config", parking_yaml="\ufeff" + PARKING)
    write(tmp_path / "b", vlog_yml=VLOG)
    write(tmp_path, a_json=msgspec.json.encode(parse_yaml(VLOG) | {"scenario_id": "json"}).decode())
    write(tmp_path / ".github", ci_yml="on: push")
    found = read_configs(tmp_path)
    assert [file.key[1] for file in found] == ["json", "vlog", "parking"]
    assert [file.path.name for file in read_configs(tmp_path / "parking.yaml")] == ["parking.yaml"]


def test_everything_wrong_in_any_file_is_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="a: 1\na: 2", b_json="{", c_yaml=PARKING.replace("park", "Park"), d_yaml="", e_yaml=VLOG)
    write(tmp_path, f_yaml=VLOG, g_yaml="x" * 1_100_000)
    (tmp_path / "h.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigFilesError) as caught:
        read_configs(tmp_path)
    said = str(caught.value)
    assert f"{tmp_path}/a.yaml: line 2, column 1: duplicate key 'a'" in said
    assert f"{tmp_path}/c.yaml: actions[0]: 'Park' is not a name" in said
    assert f"{tmp_path}/d.yaml: expected one config" in said
    assert f"{tmp_path}/e.yaml and {tmp_path}/f.yaml: two files for the config of acme/vlog" in said
    assert all(f"{tmp_path}/{name}: " in said for name in ("b.json", "g.yaml", "h.yaml"))


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=VLOG)
    (tmp_path / "b.yaml").symlink_to("gone.yaml")
    with pytest.raises(ConfigFilesError, match=r"b\.yaml: a link to a file that is not there"):
        read_configs(tmp_path)


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_a_file_that_nests_too_deep_is_said_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises(ConfigFilesError, match=rf"{name}: nested too deep"):
        read_configs(tmp_path)


def test_what_is_named_is_read_together_and_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    write(tmp_path / "configs", parking_yaml=PARKING)
    write(tmp_path, c_txt=VLOG)
    assert len(read_configs(tmp_path / "configs", tmp_path / "c.txt")) == 2
    with pytest.raises(ConfigFilesError, match="two files for the config of acme/parking"):
        read_configs(tmp_path / "configs", tmp_path / "configs" / "parking.yaml")
    with pytest.raises(OperatorError, match=r"gone is no file"):
        read_configs(tmp_path / "configs", tmp_path / "gone")


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.yaml"):
        with pytest.raises(OperatorError, match="is no file, and no folder"):
            read_configs(path)


def test_applied_twice_the_second_time_does_nothing(tmp_path: Path) -> None:
    files = read_configs(write(tmp_path, parking_yaml=PARKING, vlog_yaml=VLOG))
    platform = FakePlatform()
    assert [step.action for step in apply(platform, files)] == [Action.CREATE, Action.CREATE]
    assert apply(platform, files) == []
    assert [step.action for step in plan(files, platform.find)] == [Action.UNCHANGED, Action.UNCHANGED]


@pytest.mark.parametrize("template_id", load_templates())
def test_a_file_of_a_template_alone_is_what_the_platform_makes_of_it(template_id: str) -> None:
    config = template_config(template_id)
    body = {"tenant_id": "acme", "scenario_id": config.scenario_id, "template_id": template_id, "name": config.name}
    [step] = plan([ConfigFile(Path("x.yaml"), *parse_file(body))], FakePlatform(config).find)
    assert step.action is Action.UNCHANGED


def test_a_changed_file_is_an_update_that_says_what_it_means_for_events() -> None:
    current = template_config("video")
    wanted = template_config("video", fields={"duration": {"max_value": 60}})
    [step] = plan([file_of(wanted)], FakePlatform(current).find)
    assert (step.action, step.config.version, step.is_breaking) == (Action.UPDATE, 2, True)
    assert step.change is not None
    assert step.change == compare(current, step.config)
    assert step.as_dict()["change"]["verdict"] == "breaking"
    assert summary([step]) == "1 to update; 1 breaking"


def test_another_order_of_fields_is_an_update_that_changes_nothing_for_events() -> None:
    current = template_config("video")
    turned = msgspec.structs.replace(current, optional_fields=current.optional_fields[::-1])
    platform = FakePlatform(current)
    [step] = plan([file_of(turned)], platform.find)
    assert step.change is not None
    assert (step.action, step.change.verdict) == (Action.UPDATE, Verdict.COMPATIBLE)
    assert len(apply(platform, [file_of(turned)])) == 1
    assert apply(platform, [file_of(turned)]) == []


def test_a_deleted_config_is_brought_back() -> None:
    deleted = msgspec.structs.replace(template_config("video"), is_active=False, version=4)
    platform = FakePlatform(deleted)
    [step] = apply(platform, [file_of(template_config("video"))])
    assert (step.action, step.config.version) == (Action.BRING_BACK, 5)
    assert apply(platform, [file_of(template_config("video"))]) == []


def test_a_config_keeps_its_type() -> None:
    other = make_config(scenario_id=template_config("video").scenario_id)
    with pytest.raises(ConfigFilesError, match=r"x\.yaml: scenario_type: .* is custom, and a config keeps its type"):
        plan([file_of(template_config("video"))], FakePlatform(other).find)


@pytest.mark.parametrize(
    ("enforcement", "allow_breaking", "refused"),
    [
        ("warn", None, False),
        ("warn", True, False),
        ("warn", False, True),
        ("reject", None, True),
        ("reject", True, False),
        ("reject", False, True),
    ],
)
def test_a_change_that_breaks_clients_needs_leave_as_the_platform_asks_for_it(
    enforcement: str, allow_breaking: bool | None, refused: bool
) -> None:
    current = template_config("video", enforcement=enforcement)
    narrower = template_config("video", enforcement=enforcement, fields={"duration": {"max_value": 60}})
    steps = plan([file_of(narrower)], FakePlatform(current).find)
    assert steps[0].needs_leave(allow_breaking) is refused
    if refused:
        with pytest.raises(OperatorError, match="nothing was applied: acme/"):
            check_leave(steps, allow_breaking)
    else:
        check_leave(steps, allow_breaking)


def test_a_failure_says_what_was_done_and_what_was_not() -> None:
    configs = [make_config(scenario_id=name) for name in "abc"]
    stale = ConfigApiError(412, "version_conflict", "is at version 9")
    platform = FakePlatform(refuses={"b": stale})
    with pytest.raises(ApplyError) as caught:
        apply(platform, list(map(file_of, configs)))
    assert "acme/b: somebody changed it meanwhile" in str(caught.value)
    assert "done: acme/a; not done: acme/b, acme/c" in str(caught.value)
    assert "run apply again" in str(caught.value)
    platform.refuses = {}
    assert [step.config.scenario_id for step in apply(platform, list(map(file_of, configs)))] == ["b", "c"]


def test_a_version_is_signed_by_the_call_else_the_file_else_the_user() -> None:
    platform = FakePlatform()
    unsigned, signed = make_config(scenario_id="a"), make_config(scenario_id="b")
    files = [file_of(unsigned), ConfigFile(Path("b.yaml"), draft_of(signed), Signature("bo", "of the file"))]
    apply(platform, files, Signature("", "said"))
    authors = [(config.author, config.reason) for config in platform.configs.values()]
    assert authors == [("ana", "said"), ("bo", "said")]
    platform = FakePlatform()
    apply(platform, files, Signature("cy", ""))
    assert [(config.author, config.reason) for config in platform.configs.values()] == [
        ("cy", ""),
        ("cy", "of the file"),
    ]


@pytest.mark.parametrize("exists", [True, False])
def test_a_preview_names_the_whole_candidate(exists: bool) -> None:
    wanted = template_config("video", fields={"duration": None, "mood": {"field_type": "string"}}, weights={"like": 9})
    platform = FakePlatform(template_config("video")) if exists else FakePlatform()
    [step] = plan([file_of(wanted)], platform.find)
    sent = msgspec.json.decode(msgspec.json.encode(candidate_of(step)["config"]))
    candidate = Candidate.model_validate(sent).given()
    draft = parse_draft(candidate | {"tenant_id": wanted.tenant_id, "scenario_id": wanted.scenario_id})
    assert draft == draft_of(wanted)


def test_a_preview_of_a_custom_scenario_names_the_whole_candidate() -> None:
    [step] = plan([file_of(make_config(fields=[make_field("a", "string")]))], FakePlatform().find)
    assert candidate_of(step)["config"]["optional_fields"][0]["field_name"] == "a"
