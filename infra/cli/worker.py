"""`millrace worker`."""

from typing import Annotated

import typer

from infra.cli.role import run_role


def worker(role: Annotated[str, typer.Argument(help="stream, analytics or recommend.")]) -> None:
    """Run one worker in the foreground, until SIGTERM or Ctrl-C; where the servers are stands in the settings."""
    from infra.roles.workers import work_analytics, work_recommend, work_stream

    run_role("ROLE", role, {"stream": work_stream, "analytics": work_analytics, "recommend": work_recommend})
