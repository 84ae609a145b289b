"""The .proto and its Python are what the templates and actions make them; numbers never move."""

from pathlib import Path

import msgspec
from recommender.v1 import behavior_pb2 as pb

from ingest_api.proto_gen import GENERATED, PROTO, SCHEMAS, compile_proto, render
from schemas.actions import BUILT_IN_ACTIONS
from tracking_configs.template import FieldSpec, load_templates

HINT = "run: python -m ingest_api.proto_gen"


def test_the_proto_is_up_to_date() -> None:
    assert PROTO.read_text() == render(PROTO.read_text(), load_templates()), HINT


def test_the_generated_python_is_up_to_date(tmp_path: Path) -> None:
    compile_proto(SCHEMAS / "proto", tmp_path)
    made = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*.py*")}
    assert made
    assert made == {name: (GENERATED / name).read_text() for name in made}, HINT


def test_a_new_field_comes_last_and_one_that_is_gone_leaves_its_number() -> None:
    templates = load_templates()
    video = templates["video"]
    grown = msgspec.structs.replace(
        video, fields=(FieldSpec(field_name="subtitles", field_type="string"), *video.fields[1:])
    )
    changed = render(PROTO.read_text(), templates | {"video": grown})
    assert "optional string subtitles = 10;" in changed
    assert "  reserved 1;" in changed
    assert "optional int64 watch_duration = 2;" in changed
    again = render(changed, templates | {"video": grown})
    assert again == changed
    back = render(changed, templates)
    assert "optional int64 duration = 11;" in back
    assert "reserved 1;" in back
    assert "reserved 10;" in back


def test_every_field_of_every_template_is_there_and_knows_absent_from_zero() -> None:
    for template in load_templates().values():
        message = pb.DESCRIPTOR.message_types_by_name[f"{template.id.capitalize()}ScenarioData"]
        assert {field.name for field in message.fields} == {field.field_name for field in template.fields}
        singular = [field for field in message.fields if not field.is_repeated]
        assert all(field.has_presence for field in singular)


def test_every_action_has_its_value() -> None:
    names = {f"ACTION_TYPE_{action.upper()}" for action in BUILT_IN_ACTIONS}
    assert set(pb.ActionType.keys()) == names | {"ACTION_TYPE_UNSPECIFIED", "ACTION_TYPE_CUSTOM"}
