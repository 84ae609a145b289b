"""`millrace erase`."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx
import msgspec
import typer

from infra.cli.configs_tables import when
from infra.cli.running import AsJson, DataDir, cli_settings, http_url, print_json
from infra.errors import OperatorError, ServerAwayError
from schemas.topics import is_tenant

TIMEOUT_S: Final = 180.0  # a store that is away is waited for, one after the other


def erase(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    tenant: Annotated[str, typer.Option(help="Whose user it is.")],
    out: Annotated[Path | None, typer.Option(help="Write the receipt to this file, which is not there yet.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Annotated[
        str | None, typer.Option(help="The HTTP door.", show_default="of the running platform, else of the settings")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Forget a user everywhere, with a signed receipt. It cannot be undone; safe to repeat.

    `millrace verify-receipt` checks the receipt. What is left to time, the receipt says.
    """
    if not is_tenant(tenant):
        raise typer.BadParameter(
            "lower-case letters, digits, - and _, at most 63, none of the reserved", param_hint="--tenant"
        )
    if out is not None and out.exists():
        raise OperatorError(f"{out} is there already: name another file with --out")
    if not yes:
        typer.confirm(f"Forget {user} of {tenant}? It cannot be undone.", abort=True, err=True)
    receipt = _erase(url if url is not None else http_url(*cli_settings(data_dir)), tenant, user)
    if out is not None:
        _write(out, receipt)
    if as_json:
        print_json(receipt)
    else:
        _show(tenant, receipt, out)


def _erase(url: str, tenant: str, user: str) -> dict[str, Any]:
    try:
        answer = httpx.delete(
            f"{url}/api/v1/user/{quote(user, safe='')}", headers={"X-Tenant-ID": tenant}, timeout=TIMEOUT_S
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ServerAwayError(
            f"the HTTP door does not answer at {url} ({str(error) or type(error).__name__}): "
            "start `millrace up`, or name another --url"
        ) from error
    try:
        body: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise OperatorError(
            f"what answers at {url} is not the HTTP door (status {answer.status_code}): name another --url"
        ) from error
    if not answer.is_success:
        raise OperatorError(str(body.get("message", f"status {answer.status_code}")))
    return body


def _write(out: Path, receipt: dict[str, Any]) -> None:
    try:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(receipt)) + b"\n")
    except OSError as error:
        print_json(receipt)  # the user is forgotten: the proof must not be lost
        raise OperatorError(f"{out} cannot be written ({error.strerror}): the receipt stands above") from error


def _show(tenant: str, receipt: dict[str, Any], out: Path | None) -> None:
    typer.echo(f"{tenant}: the user is forgotten, {when(receipt['finished_at'])}")
    for name, count in receipt["erased"].items():
        typer.echo(f"  {count:>9,} {name}")
    if out is not None:
        typer.echo(f"receipt: {out}")
    elif sys.stdout.isatty():
        typer.echo("no receipt was kept: --out FILE writes it, --json prints it")
