"""The data quality of one scenario over the last hours: counts, fields, and what went wrong, with examples."""

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec

from ingest_api.event_store import EventStore, Rows
from ingest_api.quality_examples import ExampleEvent, Place, examples_at
from schemas.clock import Clock, system_clock
from schemas.limits import MAX_FUTURE_MS
from schemas.quality import field_of

HOUR_MS: Final = 60 * 60 * 1000
MAX_FIELDS: Final = 200

# An event is at most 24 h ahead of its arrival, so later partitions are not read.
_JUDGED: Final = """
    FROM judged_events
    WHERE tenant_id = {tenant:String} AND scenario_id = {scenario:String}
        AND arrived_at >= fromUnixTimestamp64Milli({since:Int64})
        AND arrived_at <= fromUnixTimestamp64Milli({until:Int64})
        AND timestamp <= fromUnixTimestamp64Milli({latest:Int64})
"""
_VERSIONS: Final = (
    """
    SELECT config_version, count(), countIf(verdict = 'warn'), countIf(verdict = 'reject'),
        arraySlice(arraySort(each -> -toInt64(each.2 + each.3), arrayZip(
            (sumMap(
                faulty,
                arrayMap(_ -> toUInt64(verdict = 'warn'), faulty),
                arrayMap(_ -> toUInt64(verdict = 'reject'), faulty)
            ) AS faults).1, faults.2, faults.3
        )), 1, 200),
        groupUniqArrayArray(200)(arrayMap(name -> concat(payload_key, '.', name), payload_fields))
    """
    + _JUDGED
    + "GROUP BY config_version ORDER BY config_version DESC"
)
_PROBLEMS: Final = (
    """
    SELECT
        arrayJoin(arrayDistinct(arrayMap(i -> (i.code, substringIndex(i.field, '.', 3)), issues))) AS problem,
        verdict, count() AS events,
        argMax(arrayFirst(i -> (i.code, substringIndex(i.field, '.', 3)) = problem, issues).message, arrived_at),
        arraySlice(groupArraySorted(10)((
            -toUnixTimestamp64Milli(arrived_at), toUnixTimestamp64Milli(timestamp),
            event_id, kafka_topic, kafka_partition, kafka_offset
        )), 1, {examples:UInt8})
    """
    + _JUDGED
    + "GROUP BY problem, verdict ORDER BY events DESC, verdict, problem LIMIT 50"
)
_EVENTS: Final = "SELECT count()" + _JUDGED


class VerdictCounts(msgspec.Struct, frozen=True, kw_only=True, rename={"passed": "pass"}):
    """How many events were judged; `pass` without an issue, `warn` taken with warnings, `reject` not taken."""

    events: int
    passed: int
    warn: int
    reject: int


class VersionQuality(VerdictCounts, frozen=True, kw_only=True):
    """The events that one version of the config judged; version 0: without a config."""

    version: int


class FieldQuality(msgspec.Struct, frozen=True, kw_only=True, rename={"passed": "pass"}):
    """How many of a version's events had an issue with a field: a dotted path from the top of the event."""

    field: str
    version: int
    passed: int
    warn: int
    reject: int


class QualityProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was wrong with `count` events; `message` is that of the newest, `examples` newest first."""

    code: str
    field: str
    verdict: str
    count: int
    message: str
    examples: tuple[ExampleEvent, ...]


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a scenario's events that arrived from `since` to `until`, ms.

    `versions` newest first; `fields` worst first, at most 200; `problems` most frequent first, at most 50.
    `unattributed`: rejected events of the tenant, in that time, that name no scenario.
    """

    tenant_id: str
    scenario_id: str
    since: int
    until: int
    totals: VerdictCounts
    versions: tuple[VersionQuality, ...]
    fields: tuple[FieldQuality, ...]
    problems: tuple[QualityProblem, ...]
    unattributed: int


async def quality_of(
    events: EventStore, tenant: str, scenario: str, *, hours: int = 1, examples: int = 3, clock: Clock = system_clock
) -> Quality:
    """The quality of the scenario's events of the last `hours`, with at most 10 `examples` of each problem.

    Raises EventsUnavailableError.
    """
    until = clock()
    since = until - hours * HOUR_MS
    window = {"tenant": tenant, "scenario": scenario, "since": since, "until": until, "latest": until + MAX_FUTURE_MS}
    versions, problems, ((unattributed,),) = await asyncio.gather(
        events.rows(_VERSIONS, window),
        events.rows(_PROBLEMS, {**window, "examples": examples}),
        events.rows(_EVENTS, {**window, "scenario": ""}),
    )
    counts = tuple(VersionQuality(version=row[0], **_verdicts(*row[1:4])) for row in versions)
    fields = sorted(_fields(versions), key=lambda field: (-field.warn - field.reject, field.field, -field.version))
    return Quality(
        tenant_id=tenant,
        scenario_id=scenario,
        since=since,
        until=until,
        totals=_total(counts),
        versions=counts,
        fields=tuple(fields[:MAX_FIELDS]),
        problems=await _with_examples(events, tenant, scenario, problems),
        unattributed=unattributed,
    )


def _verdicts(events: int, warn: int, reject: int) -> dict[str, int]:
    return {"events": events, "passed": events - warn - reject, "warn": warn, "reject": reject}


def _total(counts: tuple[VersionQuality, ...]) -> VerdictCounts:
    events, warn, reject = (sum(getattr(each, name) for each in counts) for name in ("events", "warn", "reject"))
    return VerdictCounts(**_verdicts(events, warn, reject))


def _fields(versions: Rows) -> Iterator[FieldQuality]:
    """Those that had an issue, and those that only stood in payloads."""
    for version, events, _, _, faults, present in versions:
        found = {field_of(f"scenario_data.{name}"): (0, 0) for name in present}
        found |= {field: (warn, reject) for field, warn, reject in faults}
        for field, (warn, reject) in found.items():
            passed = events - warn - reject
            yield FieldQuality(field=field, version=version, passed=passed, warn=warn, reject=reject)


async def _with_examples(events: EventStore, tenant: str, scenario: str, problems: Rows) -> tuple[QualityProblem, ...]:
    places = [
        [Place(timestamp, -minus_arrival, *where) for minus_arrival, timestamp, *where in row[-1]] for row in problems
    ]
    shown = await examples_at(events, tenant, scenario, {place for found in places for place in found})
    return tuple(
        QualityProblem(
            code=problem[0],
            field=problem[1],
            verdict=verdict,
            count=count,
            message=message,
            examples=tuple(shown[place] for place in found if place in shown),
        )
        for (problem, verdict, count, message, _), found in zip(problems, places, strict=True)
    )
