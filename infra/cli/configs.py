"""`millrace configs`: each of its commands is one function of the files beside this one."""

import typer

from infra.cli.configs_apply import apply
from infra.cli.configs_back import delete, rollback
from infra.cli.configs_diff import diff
from infra.cli.configs_json import JsonGroup
from infra.cli.configs_preview import preview
from infra.cli.configs_show import get, history, list_configs
from infra.cli.configs_suggest import suggest

configs = typer.Typer(cls=JsonGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
configs.command("list")(list_configs)
for command in (get, apply, diff, preview, suggest, history, rollback, delete):
    configs.command()(command)
