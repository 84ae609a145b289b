"""`millrace dead-letters`: each of its commands is one function of the files beside this one."""

import typer

from infra.cli.dead_letters_replay import replay
from infra.cli.dead_letters_show import list_letters, parked, resume, show

dead_letters = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
dead_letters.command("list")(list_letters)
for command in (show, replay, parked, resume):
    dead_letters.command()(command)
