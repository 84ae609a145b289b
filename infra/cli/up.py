"""`millrace up`: everything on this machine, until Ctrl-C or SIGTERM."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.cli.run import remarks, run_async
from infra.cli.running import AsJson, DataDir, print_json
from infra.errors import OperatorError
from infra.platform import Platform, start_platform
from infra.settings import load_settings
from infra.stack.kinds import STACK_KINDS, NotSetUpError, StackKind
from infra.stack.ports import PortInUseError
from infra.stack.server import ServerError


def up(
    stack: Annotated[str, typer.Option(help="embedded (pip alone) or native (after `make native`).")] = "embedded",
    data_dir: DataDir = None,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTP door; 0: any free one.")] = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gRPC door; 0: any free one.")] = 50051,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine: servers, doors, workers; stay until Ctrl-C."""
    kind = next((kind for kind in STACK_KINDS if kind == stack), None)
    if kind is None:
        raise typer.BadParameter(f"expected {' or '.join(STACK_KINDS)}, got {stack!r}", param_hint="--stack")
    try:
        run_async(_stay_up(kind, data_dir or load_settings().data_dir, http_port, grpc_port, as_json))
    except (PortInUseError, NotSetUpError, ServerError) as error:
        raise OperatorError(str(error)) from error


async def _stay_up(stack: StackKind, data_dir: Path, http_port: int, grpc_port: int, as_json: bool) -> None:
    """A signal cancels the work wherever it stands, which stops what has been started."""
    console = remarks()

    async def until_cancelled() -> None:
        with console.status(f"Starting the {stack} servers, doors and workers ...") as status:
            async with start_platform(
                data_dir, stack, http_port=http_port, grpc_port=grpc_port, say=console.print
            ) as platform:
                status.stop()
                _announce(platform, data_dir, as_json, console)
                await asyncio.Event().wait()

    work = asyncio.create_task(until_cancelled())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with suppress(asyncio.CancelledError):
        await work
    console.print("Stopped.")


def _announce(platform: Platform, data_dir: Path, as_json: bool, console: Console) -> None:
    if as_json:
        print_json(platform.endpoints)
        return
    console.print("Ready. Authentication is off: every address below is for this machine alone.")
    for name, address in platform.endpoints.items():
        console.print(f"  {name:<11}{address}")
    console.print(f"API: {platform.endpoints['http']}/api/v1/docs   logs: {data_dir / 'logs'}   Ctrl-C stops it.")
