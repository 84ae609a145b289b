"""`millrace dead-letters replay`."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.cli.configs_tables import plain, table
from infra.cli.dead_letters_options import Reason, Scenario, Since, Tenant, Until, Url, check_place, open_api
from infra.cli.run import answers, remarks
from infra.cli.running import AsJson, DataDir, print_json
from infra.errors import OperatorError
from ingest_api.letter_mapping import InvalidMappingError, parse_mapping
from schemas.clock import system_clock

COUNTS: Final = ("selected", "replayed", "still_rejected", "skipped_already", "errors")
MAX_EXAMPLES: Final = 9
PER_CALL: Final = 1000


def replay(
    tenant: Tenant,
    reason: Reason = None,
    scenario: Scenario = None,
    since: Since = None,
    until: Until = None,
    letter: Annotated[
        list[str] | None, typer.Option(metavar="PARTITION:OFFSET", help="This letter; may be given again.")
    ] = None,
    fix: Annotated[Path | None, typer.Option(help="Mend them first: a mapping, YAML (docs/dead-letters.md).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that will be rejected again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    per_call: Annotated[int, typer.Option(min=1, max=PER_CALL, help="So many letters at a time.")] = PER_CALL,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, mended by a mapping. Twice does nothing more: every event counts once.

    Only those are sent that the configs in force would accept now. Without a filter: all that the tenant has.
    """
    order = {
        "tenant": tenant,
        "reason": reason,
        "scenario": scenario,
        "since": since,
        "until": until or system_clock(),  # what is rejected again meanwhile is not this replay's
        "letters": [check_place(text) for text in letter or []],
        "fix": _mapping(fix),
        "all": everything,
        "dry_run": dry_run,
        "limit": per_call,
    }
    if not (yes or dry_run):
        typer.confirm(f"Replay dead letters of {tenant}?", abort=True, err=True)
    with open_api(url, data_dir) as api:
        total = _summed(api.replay(order), quiet=as_json or not os.isatty(2))
    if as_json:
        print_json(total)
    else:
        _show(tenant, total)
    if total["errors"]:
        raise OperatorError(
            f"{total['errors']:,} letters could not be mended or sent: the examples say why; "
            "the same command again takes those that are left"
        )


def _mapping(path: Path | None) -> Any:
    """The mapping of a file as plain values, checked here, where its name is known."""
    if path is None:
        return None
    try:
        return msgspec.to_builtins(parse_mapping(path.read_text("utf-8")))
    except (InvalidMappingError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} is no mapping ({error}): correct it") from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror}): name another file with --fix") from error


def _summed(reports: Iterable[dict[str, Any]], *, quiet: bool) -> dict[str, Any]:
    """One report of them all, with some of their examples."""
    total: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    reasons: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=remarks(), transient=True, disable=quiet) as progress:
        bar = progress.add_task("letters", total=None)
        for report in reports:
            for name in COUNTS:
                total[name] += report[name]
            reasons.update(report["reasons"])
            examples += report["examples"][: MAX_EXAMPLES - len(examples)]
            total["dry_run"] = report["dry_run"]
            progress.update(bar, completed=total["selected"])
    return total | {"reasons": dict(reasons.most_common()), "examples": examples}


def _show(tenant: str, total: dict[str, Any]) -> None:
    would = "would be replayed" if total["dry_run"] else "replayed"
    typer.echo(
        f"{tenant}: {total['selected']:,} letters: {total['replayed']:,} {would}, {total['still_rejected']:,} still "
        f"rejected, {total['skipped_already']:,} replayed before, {total['errors']:,} errors"
    )
    for code, times in total["reasons"].items():
        typer.echo(f"  {times:,} x {code}")
    shown = [example for example in total["examples"] if total["dry_run"] or example["outcome"] != "replayed"]
    if shown:
        answers().print(table(("letter", "outcome", "why", "as it would be sent"), map(_row, shown)))


def _row(example: dict[str, Any]) -> tuple[str, ...]:
    problems = "; ".join(f"{issue['field'] or 'event'}: {issue['message']}" for issue in example["problems"])
    why = plain(example["message"] or problems)
    return f"{example['partition']}:{example['offset']}", example["outcome"], why, plain(example["after"][:300])
