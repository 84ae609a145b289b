"""`millrace configs apply`."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from infra.cli.configs_options import Author, ConfigPath, Reason, Url, open_api, os_user
from infra.cli.configs_tables import plain, plan_lines
from infra.cli.run import answers
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.apply import apply_steps, check_leave
from infra.configs.client import ConfigApi
from infra.configs.file_form import Signature
from infra.configs.files import read_configs
from infra.configs.plan import Action, Step, plan, summary

DONE: Final = {Action.CREATE: "created", Action.UPDATE: "updated", Action.BRING_BACK: "brought back"}


def apply(
    file: ConfigPath,
    plan_only: Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")] = False,
    allow_breaking: Annotated[
        bool | None,
        typer.Option(
            "--allow-breaking/--no-allow-breaking",
            help="Whether a change may break clients.",
            show_default="yes, unless its config rejects events",
        ),
    ] = None,
    author: Author = "",
    reason: Reason = "",
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put the configs of a file or folder in force: a plan first, then one after the other. Twice does nothing more.

    Every file is read and checked before anything is done. Configs that no file names stay as they are. A config that
    somebody else changes between the plan and its turn is left alone, and said.
    """
    files = read_configs(file)
    with open_api(url, data_dir) as api:
        steps = plan(files, api.find)
        if not as_json:
            _show_plan(steps)
        if plan_only:
            if as_json:
                _print_steps(steps, ())
            return
        check_leave(steps, allow_breaking)
        _apply(api, steps, Signature(author, reason), allow_breaking, as_json)


def _show_plan(steps: Sequence[Step]) -> None:
    for line in plan_lines(steps):
        answers().print(line)
    typer.echo(f"plan: {summary(steps)}")


def _apply(api: ConfigApi, steps: Sequence[Step], by: Signature, allow_breaking: bool | None, as_json: bool) -> None:
    done: list[Step] = []
    try:
        for step in apply_steps(api, steps, by, os_user(), allow_breaking):
            done.append(step)
            if not as_json:
                typer.echo(f"{DONE[step.action]} {plain(step.config.key)}: version {step.config.version}")
    finally:
        if as_json:
            _print_steps(steps, done)
    if not as_json:
        typer.echo(f"done: {len(done)} applied, {len(steps) - len(done)} unchanged" if done else "nothing to do")


def _print_steps(steps: Sequence[Step], done: Sequence[Step]) -> None:
    """For scripts; a step that has nothing to do is never done."""
    keys = {step.config.key for step in done}
    print_json([step.as_dict() | {"done": step.config.key in keys} for step in steps])
