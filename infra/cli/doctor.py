"""`millrace doctor`."""

import sys

import httpx
import typer
from rich.console import Console
from rich.table import Table

from infra.checks import Finding, check_servers
from infra.cli.run import run_async
from infra.cli.running import AsJson, DataDir, Running, cli_settings, print_json


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Reach every server named in the settings: version, latency, what is wrong and what to do. 1 if any is down."""
    settings, running = cli_settings(data_dir)
    findings = run_async(check_servers(settings))
    if running is not None:
        findings.append(check_door(running))
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        show(findings, Console(highlight=False))
    if not all(finding.is_up for finding in findings):
        raise typer.Exit(1)


def check_door(running: Running) -> Finding:
    """Whether the HTTP door of a running platform is ready, and if not, what it is without."""
    try:
        answer = httpx.get(f"{running.http}/readyz", timeout=5)
        body = answer.json()
        down = [name for name, up in body.get("checks", {}).items() if not up]
        status = body.get("status", str(answer.status_code))
    except (httpx.HTTPError, ValueError) as error:
        return Finding("http door", running.http, problem=str(error), advice="see the logs under the data directory")
    latency_ms = round(answer.elapsed.total_seconds() * 1000, 2)
    problem = "" if status == "ready" else f"{status}: {', '.join(down) or answer.status_code}"
    return Finding("http door", running.http, status, latency_ms, problem, "see the servers above" if problem else "")


def show(findings: list[Finding], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("server", "address", "version", "latency", ""):
        table.add_column(column, overflow="fold")
    for found in findings:
        latency = "" if found.latency_ms is None else f"{found.latency_ms:.1f} ms"
        state = "[green]ok[/]" if found.is_up else "[red]down[/]"
        table.add_row(found.server, found.address, found.version, latency, state)
    console.print(table)
    for found in findings:
        if not found.is_up:
            console.print(f"{found.server}: {found.problem}; {found.advice}", markup=False, style="red")
    sys.stdout.flush()
