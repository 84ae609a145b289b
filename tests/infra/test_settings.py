"""Settings: what is read, in which order, and what a mistake says."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.errors import SettingsError
from infra.settings import PREFIX, Settings, load_settings, settings_table, variable

ROOT = Path(__file__).parents[2]
DSNS = {
    "MILLRACE_KAFKA": "kafka://me:s3cret@k:9092",
    "MILLRACE_REDIS": "rediss://:s3cret@r:6380/0",
    "MILLRACE_CLICKHOUSE": "https://me:s3cret@c:8443/default",
    "MILLRACE_MONGO": "mongodb://me:s3cret@m1:27017,m2:27017/?replicaSet=rs",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests, and a working directory with nothing in it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_defaults_are_localhost_and_standard_ports() -> None:
    settings = load_settings()
    assert settings.kafka.get_secret_value() == "localhost:9092"
    assert (settings.http_port, settings.grpc_port, settings.metrics_port) == (8080, 50051, 0)
    assert settings.log_format == "console"


def test_the_environment_wins_over_the_file_and_the_file_over_a_running_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "my.env"
    file.write_text("MILLRACE_HTTP_PORT=1001\nMILLRACE_GRPC_PORT=1002\nMILLRACE_REDIS=redis://file:1\n")
    set_all(monkeypatch, {"MILLRACE_SETTINGS_FILE": str(file), "MILLRACE_HTTP_PORT": "2001"})
    settings = load_settings({"redis": "redis://running:1", "kafka": "running:1"})
    assert (settings.http_port, settings.grpc_port) == (2001, 1002)
    assert settings.redis.get_secret_value() == "redis://file:1"
    assert settings.kafka.get_secret_value() == "running:1"


def test_a_dotenv_file_that_nobody_names_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MILLRACE_HTTP_PORT=1\n")
    assert load_settings().http_port == 8080


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"MILLRACE_HTTP_PORT": "", "MILLRACE_REDIS": ""})
    settings = load_settings({"redis": "redis://running:1"})
    assert settings.http_port == 8080
    assert settings.redis.get_secret_value() == "redis://running:1"


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_REDDIS", "redis://:s3cret@r")
    with pytest.raises(SettingsError, match="MILLRACE_REDDIS: did you mean MILLRACE_REDIS") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


def test_an_unknown_name_in_the_file_is_refused_with_the_files_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my.env").write_text("MILLRACE_HTTP_PROT=1\n")
    monkeypatch.setenv("MILLRACE_SETTINGS_FILE", "my.env")
    with pytest.raises(SettingsError, match=r"my\.env: .*MILLRACE_HTTP_PORT"):
        load_settings()


def test_a_settings_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_SETTINGS_FILE", "gone.env")
    with pytest.raises(SettingsError, match=r"gone\.env"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MILLRACE_HTTP_PORT", "70000", "65535"),
        ("MILLRACE_KAFKA", "kafka://me:s3cret@h:9092?security=none", "security"),
        ("MILLRACE_REDIS", "http://me:s3cret@h", "redis://"),
        ("MILLRACE_CLICKHOUSE", "h:8123", "http://"),
        ("MILLRACE_MONGO", "mongodb://me:s3cret@h:abc", "mongodb://"),
        ("MILLRACE_DEFAULT_TENANT", "Bad Name", "tenant"),
        ("MILLRACE_LOG_FORMAT", "xml", "json"),
        ("MILLRACE_PROFILE", "prod", "production"),
    ],
)
def test_a_bad_value_is_refused_by_its_variable_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in str(caught.value)
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_outside_dev_every_dsn_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, DSNS | {"MILLRACE_PROFILE": "production"})
    settings = load_settings()
    assert (settings.replication, settings.log_format, settings.open_tenants) == (3, "json", False)
    monkeypatch.delenv("MILLRACE_REDIS")
    with pytest.raises(SettingsError, match="MILLRACE_REDIS must be set"):
        load_settings()


def test_what_is_set_wins_over_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, DSNS | {"MILLRACE_PROFILE": "production", "MILLRACE_REPLICATION": "2"})
    assert load_settings().replication == 2


def test_tenants_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_REFUSE_UNKNOWN_SCENARIOS", "acme, globex,")
    assert load_settings().refuse_unknown_scenarios == {"acme", "globex"}


def test_secrets_are_neither_in_the_repr_nor_in_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, DSNS)
    settings = load_settings()
    assert "s3cret" not in repr(settings)
    shown = settings.shown()
    assert "s3cret" not in str(shown)
    assert shown["MILLRACE_REDIS"] == "rediss://:***@r:6380/0"
    assert shown["MILLRACE_KAFKA"] == "kafka://me:***@k:9092"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().http_port = 1  # type: ignore[misc]


def test_overrides_are_validated_and_change_nothing_else() -> None:
    settings = load_settings().with_overrides(redis="redis://other:1", kafka=None)
    assert settings.redis.get_secret_value() == "redis://other:1"
    assert settings.kafka == load_settings().kafka
    with pytest.raises(ValidationError):
        settings.with_overrides(redis="nonsense")


def test_the_table_names_every_setting() -> None:
    table = settings_table()
    assert not [name for name in Settings.model_fields if f"`{variable(name)}`" not in table]
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


@pytest.mark.parametrize("profile", ["dev", "staging", "production"])
def test_each_profile_of_the_example_file_can_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    text = (ROOT / ".env.example").read_text()
    [block] = [part for part in text.split("# --- ") if part.startswith(f"{profile}:")]
    lines = [line.removeprefix("# ") for line in block.splitlines()[1:]]
    (tmp_path / "my.env").write_text("\n".join(line for line in lines if line.startswith(PREFIX)))
    monkeypatch.setenv("MILLRACE_SETTINGS_FILE", "my.env")
    assert load_settings().profile == profile
