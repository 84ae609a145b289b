"""docker-compose.yml cannot be run here; it is held against Compose's own schema and against our settings."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infra.platform import ROLES
from infra.settings import Settings, variable

ROOT = Path(__file__).parents[2]
SCHEMA = Path(__file__).with_name("compose-spec.json")  # of the Compose specification, Apache 2.0


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def test_it_fits_the_schema_of_compose(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, json.loads(SCHEMA.read_text()))


def test_every_role_and_every_server_is_there_with_a_healthcheck(compose: dict[str, Any]) -> None:
    expected = {*ROLES, "kafka", "redis", "clickhouse", "mongo"}
    assert {name for name, service in compose["services"].items() if "healthcheck" in service} == expected


def test_each_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = {variable(name) for name in Settings.model_fields}
    for name in ROLES:
        assert compose["services"][name]["environment"].keys() <= known
        assert tuple(compose["services"][name]["command"]) == ROLES[name]


def test_what_it_mounts_and_builds_exists(compose: dict[str, Any]) -> None:
    mounts = [v for service in compose["services"].values() for v in service.get("volumes", ()) if v.startswith("./")]
    assert mounts
    assert all((ROOT / mount.split(":")[0]).is_file() for mount in mounts)
    assert (ROOT / compose["services"]["http"]["build"]["dockerfile"]).is_file()
