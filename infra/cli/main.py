"""`millrace`: the command line. Each command is one file here, imported only when it is the one asked for.

Exit status: 0 done, 1 failed (one sentence on stderr that says what to do), 2 wrong use.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import typer

from infra.errors import OperatorError

INTERRUPTED: Final = 130

# name -> what it does. The command is what has that name, with _ for -, in infra/cli/{name}.py: a function, or a group.
COMMANDS: Final = {
    "up": "Start everything on this machine: servers, doors, workers; stay until Ctrl-C.",
    "demo": "The main job on real data (MovieLens 100K), narrated.",
    "serve": "Run one door in the foreground: http or grpc.",
    "worker": "Run one worker in the foreground: stream, analytics or recommend.",
    "send": "Send a file of events, one JSON object a line, by one of the three doors.",
    "tail": "Show a tenant's events as they arrive.",
    "top": "What each tenant and process is doing, live: rates, lag, age of features, parked or not.",
    "sql": "Run a query on ClickHouse and show its answer as a table.",
    "configs": "Tracking configs: list, get, apply from files, diff, preview, suggest, go back.",
    "dead-letters": "Rejected events: list, show, mend and replay; go on with a tenant parked for them.",
    "replay": "Rebuild a tenant's features from its raw topic, beside those in use, and swap.",
    "why": "What a user's features were at a moment that is past.",
    "erase": "Forget a user everywhere, with a signed receipt.",
    "verify-receipt": "Say whether a receipt of an erasure is genuine.",
    "doctor": "Reach every server named in the settings: version, latency, what is wrong.",
    "settings": "Show the settings in force, secrets hidden.",
}


def build_app(wanted: str | None) -> typer.Typer:
    """The application with only the wanted command loaded; the others are there by name, for --help."""
    app = typer.Typer(
        name="millrace",
        help="Behaviour events in by HTTP, gRPC or Kafka; features, analytics and recommendations out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, does in COMMANDS.items():
        if name == wanted:
            _add(app, name)
        else:
            app.command(name, help=does)(_placeholder)
    app.callback()(_no_options)
    return app


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The `millrace` program; always ends in SystemExit."""
    args = list(sys.argv[1:] if argv is None else argv)
    wanted = next((word for word in args if not word.startswith("-")), None)
    try:
        build_app(wanted)(args=args, prog_name="millrace")
    except OperatorError as error:
        if os.environ.get("MILLRACE_DEBUG"):
            raise
        typer.secho(f"millrace: {error}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _add(app: typer.Typer, name: str) -> None:
    python_name = name.replace("-", "_")
    command: typer.Typer | Callable[..., Any] = getattr(import_module(f"infra.cli.{python_name}"), python_name)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, help=COMMANDS[name])
    else:
        app.command(name)(command)  # its docstring is its help


def _placeholder() -> None:
    raise AssertionError("a command that was not loaded cannot be run")


def _no_options() -> None:
    """The program itself takes no options; having a callback keeps a lone command a subcommand."""
