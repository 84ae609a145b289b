"""Settings: read once, from `MILLRACE_*` and one optional file, into a frozen object that is passed down.

The file is the one that MILLRACE_SETTINGS_FILE names (NAME=value lines, see .env.example). A `.env` that merely lies
in the working directory is not read: what a process does must not hang on where it was started.
The environment wins over the file, the file over a running `millrace up`, that over the profile's defaults.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from infra.dsn import check_dsn, redact
from infra.errors import SettingsError
from schemas.erased import Later
from schemas.topics import is_tenant

PREFIX: Final = "MILLRACE_"
FILE_VARIABLE: Final = "MILLRACE_SETTINGS_FILE"
TEST_PREFIX: Final = "MILLRACE_TEST_"  # the test suite's own switches; no settings
DSNS: Final = ("kafka", "redis", "clickhouse", "mongo")

# What a profile sets where the settings do not. Outside dev the DSNs have no defaults: a process that was given none
# must not start on somebody's localhost.
PROFILES: Final[dict[str, dict[str, Any]]] = {
    "dev": {},
    "staging": {"log_format": "json", "open_tenants": False, "http_host": "0.0.0.0", "grpc_host": "0.0.0.0"},  # noqa: S104
    "production": {
        "log_format": "json",
        "open_tenants": False,
        "http_host": "0.0.0.0",  # noqa: S104
        "grpc_host": "0.0.0.0",  # noqa: S104
        "replication": 3,
    },
}

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[frozenset[str], NoDecode]


class Settings(BaseSettings):
    """Every setting of the platform. `http_host` is the variable MILLRACE_HTTP_HOST, and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    profile: Literal["dev", "staging", "production"] = Field(
        "dev", description="Which defaults stand; staging and production have no default DSNs"
    )
    kafka: SecretStr = Field(
        SecretStr("localhost:9092"),
        description="Kafka: `host:port,host:port` or `kafka://user:secret@host:9092?security=sasl_ssl&mechanism=PLAIN`",
    )
    redis: SecretStr = Field(SecretStr("redis://localhost:6379/0"), description="Redis")
    clickhouse: SecretStr = Field(SecretStr("http://localhost:8123"), description="ClickHouse, its HTTP interface")
    mongo: SecretStr = Field(SecretStr("mongodb://localhost:27017"), description="MongoDB; the database is `millrace`")
    redis_cluster: bool = Field(False, description="Redis is a cluster: each tenant's keys share one hash slot")

    http_host: str = Field("127.0.0.1", description="Address the HTTP door binds")
    http_port: Port = Field(8080, description="Port of the HTTP door; 0 takes any free one")
    grpc_host: str = Field("127.0.0.1", description="Address the gRPC door binds")
    grpc_port: Port = Field(50051, description="Port of the gRPC door; 0 takes any free one")
    metrics_port: Port = Field(
        0, description="Port of a role's own /metrics, /healthz and /readyz; 0 is off (the HTTP door has them anyway)"
    )

    instance_id: str | None = Field(
        None, description="This worker's name in its consumer groups; restarted under it soon, it keeps its partitions"
    )
    default_tenant: str | None = Field(None, description="The tenant of a call that names none")
    open_tenants: bool = Field(True, description="An event may make its tenant; false: only tenants with a topic exist")
    max_tenants: Count = Field(1000, description="Tenants that the doors will make, at most")
    refuse_unknown_scenarios: Names = Field(
        frozenset(), description="Tenants (comma-separated) whose events without a tracking config are rejected"
    )
    breaker_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="Share of rejected events above which a tenant's raw events wait; 1 never lets them"
    )
    breaker_window: Annotated[int, Field(ge=200)] = Field(
        1000, description="Of how many judged events of the tenant that is the share"
    )
    breaker_run: Count = Field(500, description="Rejected events in succession that make a tenant's raw events wait")
    session_lateness_s: Annotated[int, Field(ge=0)] = Field(
        300,
        description="How far behind its partition's newest event, in seconds, one may come and find its session open",
    )
    session_idle_s: Count = Field(
        900,
        description="As much against the newest arrival, or the clock where nothing arrives; not below the lateness",
    )
    raw_partitions: Count = Field(12, description="Partitions of a topic that the platform makes")
    replication: Count = Field(1, description="Replicas of a topic that the platform makes")
    pipelines_dir: Path | None = Field(
        None, description="Directory of tenants' own recommendation pipelines, `{tenant}.yaml`"
    )

    recent_days: Count = Field(90, description="Life of a user's recent list, in days")
    lists_hours: Count = Field(24, description="Life of a precomputed recommendation list, in hours")

    erasure_key: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        None, description="Secret that signs receipts of erasure, 16 characters at least; unset: one is kept in MongoDB"
    )
    erased_users: Later = Field(
        Later.REFUSE,
        description="What becomes of later events of a user who was erased: accept, refuse or pseudonymise",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    log_format: Literal["json", "console"] = Field("console", description="Form of a log line")
    debug: bool = Field(False, description="The CLI shows tracebacks of expected failures as well")
    data_dir: Path = Field(
        Path(".millrace"), description="Data of `millrace up`, and where the CLI looks for a running one"
    )
    cache: Path = Field(Path("~/.cache/millrace"), description="Downloads of the embedded stack and of the demo")

    @model_validator(mode="before")
    @classmethod
    def _apply_profile(cls, given: dict[str, Any]) -> dict[str, Any]:
        profile = given.get("profile", "dev")
        if profile != "dev" and profile in PROFILES and (unset := [name for name in DSNS if name not in given]):
            names = ", ".join(map(variable, unset))
            raise ValueError(f"{names} must be set: the profile {profile} has no default DSNs")
        return {**PROFILES.get(profile, {}), **given}

    @field_validator(*DSNS)
    @classmethod
    def _check_dsn(cls, value: SecretStr, info: Any) -> SecretStr:
        check_dsn(info.field_name, value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _check_session_waits(self) -> "Settings":
        if self.session_idle_s < self.session_lateness_s:
            raise ValueError(f"{variable('session_idle_s')} is below {variable('session_lateness_s')}")
        return self

    @field_validator("default_tenant")
    @classmethod
    def _check_tenant(cls, value: str | None) -> str | None:
        if value is not None and not is_tenant(value):
            raise ValueError(
                "not a tenant's name: lower-case letters, digits, - and _, at most 63, none of the reserved"
            )
        return value

    @field_validator("refuse_unknown_scenarios", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return frozenset(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("cache", "data_dir", "pipelines_dir")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    def shown(self) -> dict[str, str]:
        """Every setting by its variable, as text, secrets hidden."""
        shown = {variable(name): _as_text(getattr(self, name)) for name in type(self).model_fields}
        return shown | {variable("erasure_key"): "***" if self.erasure_key else ""}

    def with_overrides(self, **changed: Any) -> Self:
        """The same settings but for these, which are validated like any other."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(values | {name: v for name, v in changed.items() if v is not None})


def load_settings(running: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    `running`: DSNs of a running `millrace up`, taken for those that neither the environment nor the file sets.
    Raises SettingsError for a variable that does not exist (naming the nearest) or a value that does not fit.
    """
    path = os.environ.get(FILE_VARIABLE) or None
    given = _check_names(_read_file(path), f"{path}: ") | _check_names(os.environ)
    found = {name: dsn for name, dsn in (running or {}).items() if variable(name) not in given}
    try:
        return Settings(_env_file=path, **found)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error


def _read_file(path: str | None) -> Mapping[str, str | None]:
    if path is None:
        return {}
    if not Path(path).is_file():
        raise SettingsError(f"{FILE_VARIABLE} names {path}, which is no file: correct it, or unset it")
    return dotenv_values(path)


def _check_names(variables: Mapping[str, str | None], where: str = "") -> set[str]:
    """The settings among these that are set. Raises SettingsError for a name that begins as ours and is none."""
    known = {variable(name) for name in Settings.model_fields} | {FILE_VARIABLE}
    ours = {name for name in variables if name.upper().startswith(PREFIX) and not name.startswith(TEST_PREFIX)}
    for name in sorted(ours - known):
        nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)
        raise SettingsError(
            f"{where}there is no setting {name}: did you mean {nearest[0]}? `millrace settings` lists all"
        )
    return {name for name in ours if variables[name]}


def _sentence(error: ValidationError) -> str:
    """What is wrong with each variable; the values themselves may be secrets and are left out."""
    parts = []
    for detail in error.errors(include_input=False, include_url=False):
        name = ".".join(map(str, detail["loc"][:1]))
        message = detail["msg"].removeprefix("Value error, ")
        parts.append(f"{variable(name)}: {message}" if name else message)
    return "; ".join(parts)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def settings_table() -> str:
    """The settings as a Markdown table; docs/settings.md holds it, and a test compares."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{variable(name)}` | {_default(name, field.default)} | {field.description} |")
    rows.append(f"| `{FILE_VARIABLE}` | none | A file of NAME=value lines; the environment wins over it |")
    return "\n".join(rows) + "\n"


def _default(name: str, value: Any) -> str:
    text = f"`{_as_text(value)}`" if _as_text(value) else "none"
    others = [f"{profile} `{_as_text(given[name])}`" for profile, given in PROFILES.items() if name in given]
    return "; ".join([text, *others])


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return redact(value.get_secret_value())
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
