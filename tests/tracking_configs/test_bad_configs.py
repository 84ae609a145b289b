"""Known-bad files: the first line of each is the message expected."""

from pathlib import Path

import pytest
import yaml

from tracking_configs.checks import check_config
from tracking_configs.errors import InvalidConfigError, InvalidTemplateError
from tracking_configs.model import parse_draft
from tracking_configs.template import parse_template

BAD = Path(__file__).parents[1] / "configs" / "bad"


def files(kind: str) -> list[Path]:
    return sorted((BAD / kind).glob("*.yaml"))


def expected(file: Path) -> str:
    return file.read_text("utf-8").splitlines()[0].removeprefix("# ")


@pytest.mark.parametrize("file", files("templates"), ids=lambda file: file.stem)
def test_a_bad_template_is_refused_with_a_sentence(file: Path) -> None:
    name = file.name if file.stem == "another_name" else "x.yaml"
    with pytest.raises(InvalidTemplateError) as caught:
        parse_template(file.read_text("utf-8"), name)
    assert str(caught.value).startswith(f"{name}: ")
    assert expected(file) in str(caught.value)


@pytest.mark.parametrize("file", files("drafts"), ids=lambda file: file.stem)
def test_a_bad_config_is_refused_with_a_sentence(file: Path) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        check_config(parse_draft(yaml.safe_load(file.read_text("utf-8"))))
    assert expected(file) in str(caught.value)


def test_every_problem_of_a_config_is_named_at_once() -> None:
    fields = [{"field_name": "A", "field_type": "text"}, {"field_name": "b", "field_type": "string", "pattern": "("}]
    draft = {"tenant_id": "acme", "scenario_id": "s", "scenario_type": "custom", "name": "S", "optional_fields": fields}
    with pytest.raises(InvalidConfigError) as caught:
        check_config(parse_draft(draft))
    assert [problem.field for problem in caught.value.problems] == [
        "optional_fields[0].field_name",
        "optional_fields[0].field_type",
        "optional_fields[1].pattern",
    ]


def test_more_than_200_fields_are_refused() -> None:
    fields = [{"field_name": f"f{index}", "field_type": "string"} for index in range(201)]
    draft = {"tenant_id": "acme", "scenario_id": "s", "scenario_type": "custom", "name": "S", "optional_fields": fields}
    with pytest.raises(InvalidConfigError, match="201 fields are more than 200"):
        check_config(parse_draft(draft))
