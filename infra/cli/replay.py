"""`millrace replay`."""

import os
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.cli.moments import moment_ms, moment_text
from infra.cli.run import remarks, run_async
from infra.cli.running import AsJson, DataDir, cli_settings, print_json
from infra.connections import open_deps
from infra.errors import OperatorError, ServerAwayError
from infra.partitions import partitions_of
from infra.roles.features import closing_of, lifetimes_of
from infra.roles.judging import open_judging
from infra.roles.role import Role
from infra.settings import Settings
from schemas.clock import system_clock
from schemas.topics import is_tenant, raw_topic
from streams.features.errors import FeatureSinkError
from streams.replay.errors import NoSuchTopic, ReplayError
from streams.replay.run import Order, Rebuild, Report, abort
from tracking_configs.lean_judge import LeanJudge

EARLIEST: Final = "earliest"
INTO: Final = ("shadow",)


def replay(
    tenant: Annotated[str, typer.Option(help="Whose features.")],
    since: Annotated[
        str, typer.Option("--from", metavar="TS", help="earliest, an age (2h, 7d), ms, or ISO 8601.")
    ] = EARLIEST,
    into: Annotated[str, typer.Option(help="Where they are rebuilt: shadow.")] = "shadow",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Rebuild, say what differs, and change nothing.")] = False,
    end: Annotated[bool, typer.Option("--abort", help="End a rebuild, and remove what it has left.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild a tenant's features from its raw topic beside those in use, then put them in their place at once.

    Events go on being taken meanwhile, and each counts once. The configs in force now judge.
    """
    if not is_tenant(tenant):
        raise typer.BadParameter(f"{tenant!r} is not a tenant's name")
    if into not in INTO:
        raise typer.BadParameter(f"features can be rebuilt into {', '.join(INTO)}, not into {into!r}")
    order = Order(tenant, None if since == EARLIEST else moment_ms(since, system_clock()), swap=not dry_run)
    settings, _ = cli_settings(data_dir)
    try:
        if end:
            _say_aborted(tenant, run_async(_abort(settings, tenant)), as_json)
        else:
            _say(run_async(_rebuild(settings, order, quiet=as_json or not os.isatty(2))), as_json)
    except ReplayError as error:
        raise OperatorError(str(error)) from error
    except FeatureSinkError as error:
        raise OperatorError(f"{error}: nothing was swapped, run it again") from error
    except KafkaError as error:
        raise ServerAwayError(f"Kafka ended the reading ({error!r}): run `millrace doctor`, then this again") from error
    except (RedisError, OSError) as error:
        raise ServerAwayError(f"Redis does not answer ({error}): run `millrace doctor`, then this again") from error


async def _rebuild(settings: Settings, order: Order, *, quiet: bool) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_deps(settings) as deps:
        topic = raw_topic(order.tenant)
        if not await partitions_of(deps.kafka, topic):
            raise NoSuchTopic(order.tenant, topic)
        with Progress(*columns, console=remarks(), transient=True, disable=quiet) as progress:
            bar = progress.add_task("records", total=None)
            async with open_judging(Role("replay", settings, deps)) as judging:
                rebuild = Rebuild(
                    deps.redis,
                    deps.kafka,
                    LeanJudge(judging.judge),
                    judging.scenario_signals,
                    order,
                    cluster=settings.redis_cluster,
                    lifetimes=lifetimes_of(settings),
                    closing=closing_of(settings),
                )
                return await rebuild.run(lambda done, total: progress.update(bar, completed=done, total=total))


async def _abort(settings: Settings, tenant: str) -> bool:
    async with open_deps(settings) as deps:
        return await abort(deps.redis, tenant, cluster=settings.redis_cluster, lifetimes=lifetimes_of(settings))


def _say_aborted(tenant: str, finished: bool, as_json: bool) -> None:
    if as_json:
        print_json({"tenant": tenant, "swap_finished": finished})
    else:
        typer.echo(f"{tenant}: {'a swap that had begun was finished' if finished else 'no rebuild is left'}")


def _say(report: Report, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    for line in report_lines(report):
        typer.echo(line)


def report_lines(report: Report) -> list[str]:
    """The report in sentences."""
    rate = report.records / report.seconds if report.seconds else 0.0
    lines = [
        f"{report.tenant}: {report.records:,} records ({report.events:,} events counted) into {report.keys:,} keys "
        f"in {report.seconds:.1f} s, {rate:,.0f} a second"
    ]
    if report.complete_from is not None:
        lines.append(
            f"complete from {moment_text(report.complete_from)}: of before, follows, blocks and recent entries were "
            f"kept ({report.kept_older:,} keys), sessions and hot lists begin there"
        )
    found = report.difference
    looked_at = "" if found.compared == found.both else f" of {found.compared:,} looked at"
    lines.append(
        f"{found.differing:,} keys differ{looked_at}, {found.only_live:,} were in use only, "
        f"{found.only_shadow:,} are new"
    )
    lines += [f"  {what}: {', '.join(names)}" for what, names in _examples(found.examples) if names]
    if not report.swapped:
        return [*lines, "nothing was changed"]
    way = "at once" if report.scripts == 1 else f"in {report.scripts} parts"
    return [*lines, f"swapped {way}; the tenant's events waited {report.pause_ms:,.0f} ms"]


def _examples(examples: dict[str, list[str]]) -> list[tuple[str, Any]]:
    names = {"only_live": "in use only", "only_shadow": "new", "differing": "differ"}
    return [(names[what], found) for what, found in examples.items()]
