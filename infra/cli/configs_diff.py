"""`millrace configs diff`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.configs_options import MaybeConfigPaths, MaybeScenario, MaybeTenant, Url, open_api
from infra.cli.configs_tables import change_lines, plan_lines, verdict
from infra.cli.run import answers
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.client import ConfigApi
from infra.configs.files import read_configs
from infra.configs.plan import plan


def diff(
    tenant: MaybeTenant = None,
    scenario: MaybeScenario = None,
    old: Annotated[int | None, typer.Option("--from", min=1, help="A version.", show_default="the one before")] = None,
    new: Annotated[int | None, typer.Option("--to", min=1, help="A version.", show_default="the current one")] = None,
    file: MaybeConfigPaths = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when it breaks clients, for CI.")] = False,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What one version changes for events against another, or what files would change against what is in force.

    `diff T S` compares the last two versions, `diff -f FILE` (or a folder) what applying it would do.
    """
    with open_api(url, data_dir) as api:
        if tenant is not None and scenario is not None and not file:
            breaks = _versions(api, tenant, scenario, old, new, as_json)
        elif file and (tenant, old, new) == (None, None, None):
            breaks = _files(api, file, as_json)
        else:
            raise typer.BadParameter("name TENANT and SCENARIO (with --from and --to), or -f FILE", param_hint="diff")
    if breaks and exit_code:
        raise typer.Exit(1)


def _versions(api: ConfigApi, tenant: str, scenario: str, old: int | None, new: int | None, as_json: bool) -> bool:
    """Shows it, and whether it breaks clients."""
    new = new or api.get(tenant, scenario)["version"]
    old = old or max(new - 1, 1)
    change = api.diff(tenant, scenario, old, new)
    if as_json:
        print_json({"from": old, "to": new, **change})
    else:
        _show(old, new, change)
    return bool(change["verdict"] == "breaking")


def _show(old: int, new: int, change: dict[str, Any]) -> None:
    console = answers()
    console.print(f"version {old} to {new}: ", verdict(change["verdict"]), sep="")
    for line in change_lines(change):
        console.print(line)
    if not change["details"]:
        console.print("    nothing changes")


def _files(api: ConfigApi, paths: Sequence[Path], as_json: bool) -> bool:
    """Shows it, and whether any breaks clients."""
    steps = plan(read_configs(*paths), api.find)
    if as_json:
        print_json({"plan": [step.as_dict() for step in steps]})
    else:
        for line in plan_lines(steps):
            answers().print(line)
    return any(step.is_breaking for step in steps)
