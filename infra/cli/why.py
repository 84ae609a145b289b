"""`millrace why`."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.exceptions import RedisError

from infra.cli.configs_tables import plain, table
from infra.cli.moments import moment_ms, moment_text
from infra.cli.run import answers, run_async
from infra.cli.running import AsJson, DataDir, cli_settings, print_json
from infra.connections import Deps, open_deps
from infra.dsn import redact
from infra.errors import OperatorError, ServerAwayError
from infra.roles.features import closing_of
from infra.roles.judging import open_judging
from infra.roles.role import Role
from infra.settings import Settings
from schemas.clock import system_clock
from schemas.keys import KeySpace
from schemas.topics import is_tenant
from streams.replay.past import PastFeatures, features_at
from streams.replay.past_rows import Past, read_past

NOW: Final = "now"
MAX_SHOWN: Final = 20


def why(
    user: Annotated[str, typer.Argument(metavar="USER@TIME", help="u1@2026-11-21T10:00:00, u1@2h (ago), u1@now.")],
    tenant: Annotated[str, typer.Option(help="Whose user.")],
    scenario: Annotated[str | None, typer.Option(help="Count the events of this scenario only.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What the features of a user were at a moment: session, recents, counts, follows, blocks.

    The user's events that had arrived by then are taken from ClickHouse and counted as the stream counts them.
    """
    name, at, moment = user.rpartition("@")
    if not (name and at):
        raise typer.BadParameter(f"{user!r} is not USER@TIME, for example u1@2h")
    if not is_tenant(tenant):
        raise typer.BadParameter(f"{tenant!r} is not a tenant's name")
    now_ms = system_clock()
    at_ms = now_ms if moment == NOW else moment_ms(moment, now_ms)
    if at_ms > now_ms:
        raise typer.BadParameter(f"{moment} lies ahead: name a moment that is past")
    settings, _ = cli_settings(data_dir)
    try:
        found = run_async(_features(settings, tenant, name, at_ms, scenario))
    except (ClickHouseError, OSError) as error:
        dsn = redact(settings.clickhouse.get_secret_value())
        raise ServerAwayError(
            f"ClickHouse at {dsn} does not tell ({str(error)[:200]}): run `millrace doctor`"
        ) from error
    except (KafkaError, RedisError) as error:
        raise ServerAwayError(f"a server does not answer ({error!r}): run `millrace doctor`") from error
    if found is None:
        raise OperatorError(_nothing_then(tenant, name, None if moment == NOW else at_ms))
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


def _nothing_then(tenant: str, user: str, at_ms: int | None) -> str:
    """`at_ms` None: now."""
    if at_ms is None:
        return f"{tenant} has no event of {user} yet: look at the names of the user and of the tenant"
    return f"{tenant} has no event of {user} that had arrived at {moment_text(at_ms)}: look at a later one"


async def _features(
    settings: Settings, tenant: str, user: str, at_ms: int, scenario: str | None
) -> PastFeatures | None:
    async with open_deps(settings) as deps:
        client, closing = await deps.open_clickhouse(), closing_of(settings)
        try:
            past = await read_past(client, tenant, user, at_ms, closing)
            past = past if scenario is None else of_scenario(past, scenario)
        finally:
            await client.close()
        if not past.events:
            return None
        catalogue = await _categories(deps, tenant, {event.item_id for event in past.events if not event.category})
        async with open_judging(Role("why", settings, deps)) as judging:
            return features_at(past, user, at_ms, judging.scenario_signals, closing=closing, catalogue=catalogue)


def of_scenario(past: Past, scenario: str) -> Past:
    return replace(past, events=[event for event in past.events if event.scenario_id == scenario])


async def _categories(deps: Deps, tenant: str, items: Iterable[str]) -> dict[str, str]:
    """As the catalogue has them now."""
    keys, names = KeySpace(tenant, cluster=deps.settings.redis_cluster), sorted(items)
    pipeline: Any = deps.redis.pipeline(transaction=False)
    for item in names:
        pipeline.hget(keys.key("item", item), "category")
    found = await pipeline.execute()
    return {item: category.decode() for item, category in zip(names, found, strict=True) if category}


def _show(found: PastFeatures) -> None:
    """Tables of the session, of what is recent, and of the rest."""
    more = "" if found.is_whole else ", the newest of more"
    typer.echo(f"{plain(found.user_id)} at {moment_text(found.at)}: {found.events:,} events{more}")
    if found.session is None:
        typer.echo("no session")
    else:
        shown = {name: _moment_or_text(name, value) for name, value in sorted(found.session.items())}
        answers().print(table(("session", ""), [(name, plain(value)) for name, value in shown.items()]))
    recent = [(plain(item), plain(action), moment_text(at)) for item, action, at in found.recent[:MAX_SHOWN]]
    answers().print(table((f"recent, {len(recent)} of {len(found.recent)}", "action", "at"), recent))
    for what, names in (("follows", found.follows), ("blocks", found.blocks)):
        if names:
            typer.echo(f"{what}: {plain(', '.join(names))}")
    if found.given:
        warmest = sorted(found.given.items(), key=lambda item: -item[1])[:MAX_SHOWN]
        answers().print(
            table(("gave on that day", "weight"), [(plain(item), f"{weight:g}") for item, weight in warmest])
        )


def _moment_or_text(name: str, value: str) -> str:
    return moment_text(int(value)) if name.endswith("_at") else value
