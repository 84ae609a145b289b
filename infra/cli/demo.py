"""`millrace demo`."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.run import run_async
from infra.demo.run import Options, run_demo
from infra.errors import OperatorError
from infra.settings import load_settings
from infra.stack.jars import JarsError
from infra.stack.kinds import NotSetUpError
from infra.stack.ports import PortInUseError
from infra.stack.server import ServerError

ALL_EVENTS = 100_000


def demo(
    events: Annotated[
        int, typer.Option(min=300, max=ALL_EVENTS, help="So many of the most recent ratings.")
    ] = ALL_EVENTS,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Emptied at the start.", show_default=".millrace/demo")] = None,
) -> None:
    """The main job on real data: MovieLens 100K by three doors, with what comes of it told by the servers themselves.

    Exit status 1 when the numbers do not add up.
    """
    settings = load_settings()
    options = Options(data_dir or settings.data_dir / "demo", events, keep)
    try:
        run_async(run_demo(options, settings))
    except (JarsError, NotSetUpError, PortInUseError, ServerError) as error:
        raise OperatorError(str(error)) from error
