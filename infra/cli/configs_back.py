"""`millrace configs rollback` and `delete`: going back, and out of service."""

import shlex
import sys
from typing import Annotated

import typer

from infra.cli.configs_options import Author, Reason, Scenario, Tenant, Url, open_api, os_user
from infra.cli.configs_tables import change_lines, plain, waits
from infra.cli.run import answers
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.client import is_published
from infra.configs.file_form import Signature


def rollback(
    tenant: Tenant,
    scenario: Scenario,
    version: Annotated[int, typer.Argument(min=1, help="The version to go back to.")],
    author: Author = "",
    reason: Reason = "",
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a new version that says what an older one said, and put it in force."""
    with open_api(url, data_dir) as api:
        made = api.rollback(tenant, scenario, version, Signature(author or os_user(), reason))
    if as_json:
        print_json(made)
        return
    key = plain(f"{tenant}/{scenario}")
    said = f"version {made['version']} says what version {version} said ({made['change']['verdict']})"
    typer.echo(f"{key}: {said}{waits(is_published(made))}")
    for line in change_lines(made["change"]):
        answers().print(line)


def delete(
    tenant: Tenant,
    scenario: Scenario,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    author: Author = "",
    reason: Reason = "",
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a config out of service: its events are taken with the warning no_tracking_config. Versions are kept."""
    if not yes and (as_json or not _somebody_is_there()):
        raise typer.BadParameter("is needed with --json, and where nobody can be asked", param_hint="--yes")
    key = plain(f"{tenant}/{scenario}")
    with open_api(url, data_dir) as api:
        seen = api.get(tenant, scenario)
        if seen["is_active"] and not yes:
            typer.confirm(f"Take {key} (version {seen['version']}) out of service?", abort=True, err=True)
        gone = api.delete(tenant, scenario, Signature(author or os_user(), reason), seen["version"])
    if as_json:
        print_json(gone)
    elif gone["version"] == seen["version"]:
        typer.echo(f"{key} is out of service since version {gone['version']}: nothing to do")
    else:
        back = f"millrace configs rollback {shlex.join((tenant, scenario))} {seen['version']}"
        later = waits(is_published(gone))
        typer.echo(f"{key} is out of service (version {gone['version']}){later}; `{back}` brings it back")


def _somebody_is_there() -> bool:
    """Whether a question would reach a terminal; stdin may be closed."""
    return sys.stdin is not None and sys.stdin.isatty()
