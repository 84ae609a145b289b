"""`millrace top`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Final

import httpx
import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from infra.cli.run import answers, run_async
from infra.cli.running import AsJson, DataDir, find_running
from infra.cli.top_rows import Picture, picture
from infra.cli.top_tables import view
from infra.errors import OperatorError
from infra.scrapes import scrape
from infra.settings import load_settings

METRICS_FILE: Final = "metrics.json"
HEADINGS: Final = 6  # lines of the screen that are no tenants': headings, and what is between the tables


def top(
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, show the rates between, and end.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what each tenant of a running `millrace up` is doing: rates, lag, age of features; and each process.

    Rates are between two looks. Tenants that are parked or behind come first; a process that is down is said so.
    """
    run_async(_watch(data_dir or load_settings().data_dir, interval, once=once, as_json=as_json))


def metrics_addresses(data_dir: Path) -> dict[str, str]:
    """Role -> URL, as `millrace up` wrote them. Raises OperatorError where none runs."""
    if find_running(data_dir) is None:
        raise OperatorError(
            f"no platform runs with its data in {data_dir}: start `millrace up`, or name its --data-dir"
        )
    path = data_dir / METRICS_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorError(f"{path} is not what `millrace up` writes ({error}): start the platform again") from error


async def _watch(data_dir: Path, interval_s: float, *, once: bool, as_json: bool) -> None:
    console = answers()
    pictures = _pictures(data_dir, interval_s)
    if once or as_json or not console.is_terminal:
        async for found in pictures:
            if as_json:
                typer.echo(msgspec.json.encode(found))
            else:
                console.print(view(found, console.width))
            if once:
                return
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(Text(f"Looking for {interval_s:g} s ..."), refresh=True)
        async for found in pictures:
            live.update(view(found, console.width, max_tenants=_room(console, found)), refresh=True)


async def _pictures(data_dir: Path, interval_s: float) -> AsyncIterator[Picture]:
    """One an interval, until the platform ends."""
    async with httpx.AsyncClient() as client:
        before = await scrape(metrics_addresses(data_dir), client)
        while True:
            await asyncio.sleep(interval_s)
            now = await scrape(metrics_addresses(data_dir), client)
            yield picture(before, now)
            before = now


def _room(console: Console, found: Picture) -> int:
    return max(1, console.height - len(found.processes) - HEADINGS)
