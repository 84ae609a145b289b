"""`millrace configs list`, `get` and `history`: what is in force, and what was."""

from typing import Annotated, Any, Final

import msgspec
import typer

from infra.cli.configs_options import Scenario, Tenant, Url, open_api
from infra.cli.configs_tables import table, verdict, when
from infra.cli.run import answers, remarks
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.file_form import file_text
from tracking_configs.model import TrackingConfig, draft_of

COLUMNS: Final = ("tenant", "scenario", "type", "name", "version", "fields", "enforcement", "changed", "by")


def list_configs(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    scenario_type: Annotated[str | None, typer.Option("--type", help="A template's id, or custom.")] = None,
    deleted: Annotated[bool, typer.Option("--all", help="Deleted ones too.")] = False,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The configs, in the order of tenant and scenario; with --json, as `items`."""
    with open_api(url, data_dir) as api:
        found = list(api.configs(tenant, scenario_type, deleted=deleted))
    if as_json:
        print_json({"items": found})
        return
    answers().print(table(COLUMNS, map(_row, found), numbers=("version", "fields")))
    typer.echo(f"{len(found):,} config{'' if len(found) == 1 else 's'}", err=True)


def _row(config: dict[str, Any]) -> tuple[Any, ...]:
    fields = len(config["required_fields"]) + len(config["optional_fields"])
    named = (config[name] for name in ("tenant_id", "scenario_id", "scenario_type", "name", "version"))
    state = config["enforcement"] if config["is_active"] else "deleted"
    return (*named, fields, state, when(config["updated_at"]), config["author"])


def get(
    tenant: Tenant,
    scenario: Scenario,
    version: Annotated[int | None, typer.Option(min=1, help="An older one.")] = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """A config as a YAML file that `apply` takes; with --json, the object that the API answers."""
    with open_api(url, data_dir) as api:
        found = api.get(tenant, scenario, version)
    if as_json:
        print_json(found)
        return
    config = msgspec.convert(found, TrackingConfig)
    typer.echo(file_text(draft_of(config)), nl=False)
    if not config.is_active:
        remarks().print(f"version {config.version} is a deletion: applying this file brings the config back")


def history(
    tenant: Tenant, scenario: Scenario, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Who made which version, when and why, and what it changed for events; the newest first."""
    with open_api(url, data_dir) as api:
        found = list(api.versions(tenant, scenario))
    if as_json:
        print_json({"items": found})
        return
    columns = ("version", "when", "by", "change", "state", "why")
    answers().print(table(columns, map(_version_row, found), numbers=("version",)))


def _version_row(version: dict[str, Any]) -> tuple[Any, ...]:
    change = verdict(version["change"]["verdict"]) if version["change"] else "first"
    state = version["enforcement"] if version["is_active"] else "deleted"
    return version["version"], when(version["updated_at"]), version["author"], change, state, version["reason"]
