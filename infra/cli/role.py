"""Running one role in the foreground, for `millrace serve` and `millrace worker`."""

from collections.abc import Mapping

import typer

from infra.cli.run import run_async
from infra.roles.role import RoleMain, open_role
from infra.settings import Settings, load_settings


def run_role(kind: str, name: str, mains: Mapping[str, RoleMain], *, own_health: bool = True) -> None:
    """Run until SIGTERM or Ctrl-C. Wrong use where there is no such role."""
    if name not in mains:
        raise typer.BadParameter(f"expected {' or '.join(mains)}, got {name!r}", param_hint=kind)
    run_async(_run(name, mains[name], load_settings(), own_health))


async def _run(name: str, main: RoleMain, settings: Settings, own_health: bool) -> None:
    async with open_role(name, settings, own_health=own_health) as role:
        await main(role)
