"""`millrace settings`."""

from typing import Annotated

import typer

from infra.cli.running import AsJson, DataDir, cli_settings, print_json
from infra.settings import settings_table


def settings(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of all settings for the docs.")] = False,
) -> None:
    """Show the settings in force, secrets hidden: environment, MILLRACE_SETTINGS_FILE, a running platform, defaults."""
    if markdown:
        typer.echo(settings_table(), nl=False)
        return
    shown = cli_settings(data_dir)[0].shown()
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"{name}={value}")
