"""What the commands of `millrace configs` are told, and the client that they ask."""

import getpass
from pathlib import Path
from typing import Annotated, Final

import typer

from infra.cli.running import cli_settings, http_url
from infra.configs.client import ConfigApi
from schemas.topics import is_tenant


def _tenant(name: str | None) -> str | None:
    if name is not None and not is_tenant(name):
        raise typer.BadParameter("lower-case letters, digits, - and _, at most 63, none of the reserved")
    return name


def _scenario(name: str | None) -> str | None:
    if name is not None and (not name.isprintable() or "/" in name or name in {"", ".", ".."}):
        raise typer.BadParameter("expected printable characters and no slash")
    return name


Tenant = Annotated[str, typer.Argument(callback=_tenant, help="For example acme.")]
Scenario = Annotated[str, typer.Argument(callback=_scenario, help="For example vlog_feed.")]
MaybeTenant = Annotated[str | None, typer.Argument(callback=_tenant, help="For example acme.")]
MaybeScenario = Annotated[str | None, typer.Argument(callback=_scenario, help="For example vlog_feed.")]
Author = Annotated[str, typer.Option(help="Who makes the version.", show_default="the user of this machine")]
Reason = Annotated[str, typer.Option(help="Why; kept with the version.")]
Last = Annotated[int, typer.Option(min=1, max=10_000, help="So many of the newest events.")]
Url = Annotated[
    str | None, typer.Option(help="The HTTP door.", show_default="of the running platform, else of the settings")
]
_FILE: Final = typer.Option("-f", "--file", help="A config, or a folder of them: YAML or JSON. Again for further ones.")
ConfigPaths = Annotated[list[Path], _FILE]
MaybeConfigPaths = Annotated[list[Path] | None, _FILE]


def open_api(url: str | None, data_dir: Path | None) -> ConfigApi:
    """The client of the platform that is named, else that runs here, else that the settings name."""
    return ConfigApi(url if url is not None else http_url(*cli_settings(data_dir)))


def os_user() -> str:
    """Whose session it is; empty where the system has no name for that."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # KeyError until Python 3.13
        return ""
