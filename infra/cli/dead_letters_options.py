"""What the commands of `millrace dead-letters` are told, and the client that they ask."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from infra.cli.running import cli_settings, http_url
from infra.dead_letter_api import DeadLetterApi
from schemas.clock import system_clock
from schemas.topics import is_tenant

_AGO: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PLACE: Final = re.compile(r"[0-9]{1,10}:[0-9]{1,19}")


def _tenant(name: str) -> str:
    if not is_tenant(name):
        raise typer.BadParameter("lower-case letters, digits, - and _, at most 63, none of the reserved")
    return name


def _moment(text: str | None) -> str | None:
    """A time ago as ms; anything else as it is, for the door to read."""
    found = _AGO.fullmatch(text or "")
    return text if found is None else str(system_clock() - int(found[1]) * _MS[found[2]])


def check_place(text: str) -> str:
    if _PLACE.fullmatch(text) is None:
        raise typer.BadParameter(f"{text!r} is not PARTITION:OFFSET, for example 0:15")
    return text


def _moment_option(name: str, helps: str) -> Callable[..., str | None]:
    return typer.Option(name, callback=_moment, help=f"{helps}: an age (90s, 5m, 2h, 7d), ms, or ISO 8601.")  # type: ignore[no-any-return]


Tenant = Annotated[str, typer.Argument(callback=_tenant, help="For example acme.")]
Place = Annotated[str, typer.Argument(callback=check_place, metavar="PARTITION:OFFSET", help="Where the record stood.")]
Reason = Annotated[str | None, typer.Option(help="Those with this code among theirs, for example missing.")]
Scenario = Annotated[str | None, typer.Option(help="Those of this scenario.")]
Since = Annotated[str | None, _moment_option("--since", "Those that arrived since")]
Until = Annotated[str | None, _moment_option("--until", "Those that arrived before")]
Url = Annotated[
    str | None, typer.Option(help="The HTTP door.", show_default="of the running platform, else of the settings")
]


def open_api(url: str | None, data_dir: Path | None) -> DeadLetterApi:
    """The client of the platform that is named, else that runs here, else that the settings name."""
    return DeadLetterApi(url if url is not None else http_url(*cli_settings(data_dir)))
