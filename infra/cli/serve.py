"""`millrace serve`."""

from typing import Annotated

import typer

from infra.cli.role import run_role


def serve(door: Annotated[str, typer.Argument(help="http or grpc.")]) -> None:
    """Run one door in the foreground, until SIGTERM or Ctrl-C; where the servers are stands in the settings."""
    from infra.roles.doors import serve_grpc, serve_http

    run_role("DOOR", door, {"http": serve_http, "grpc": serve_grpc}, own_health=door != "http")
