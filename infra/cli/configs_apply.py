"""`millrace configs apply`."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from infra.cli.configs_options import Author, ConfigPaths, Reason, Url, open_api, os_user
from infra.cli.configs_tables import plain, plan_lines, waits
from infra.cli.run import answers
from infra.cli.running import AsJson, DataDir, print_json
from infra.configs.apply import Done, apply_steps, check_leave, report
from infra.configs.file_form import Signature
from infra.configs.files import read_configs
from infra.configs.plan import Action, Step, plan, summary

DONE: Final = {Action.CREATE: "created", Action.UPDATE: "updated", Action.BRING_BACK: "brought back"}


def apply(
    file: ConfigPaths,
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
    """Put the configs of files and folders in force: a plan first, then one after the other. Twice does nothing more.

    Every file is read and checked before anything is done. Configs that no file names stay as they are. A config that
    somebody else changes between the plan and its turn is left alone, and said.
    """
    files = read_configs(*file)
    with open_api(url, data_dir) as api:
        steps = plan(files, api.find)
        if not as_json:
            _show_plan(steps)
        if not plan_only:
            check_leave(steps, allow_breaking)
        applied = () if plan_only else apply_steps(api, steps, Signature(author, reason), os_user(), allow_breaking)
        done = [_say(each, as_json) for each in applied]
    if as_json:
        print_json(report(steps, done))
    elif not plan_only:
        typer.echo(f"done: {len(done)} applied, {len(steps) - len(done)} unchanged" if done else "nothing to do")


def _show_plan(steps: Sequence[Step]) -> None:
    for line in plan_lines(steps):
        answers().print(line)
    typer.echo(f"plan: {summary(steps)}")


def _say(done: Done, as_json: bool) -> Done:
    if not as_json:
        config = done.step.config
        said = f"{DONE[done.step.action]} {plain(config.key)}: version {config.version}"
        typer.echo(said + waits(done.is_published))
    return done
