"""Counting data quality, and what of it Prometheus sees."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from schemas.event import Event
from schemas.quality import OTHER, UNDECLARED, QualityCounts, field_of
from schemas.verdict import Code, Issue, Rejected
from tests.factories import make_event

Series = dict[tuple[str, ...], float]


def issue(field: str, code: Code = Code.MISSING) -> Issue:
    return Issue(field, code, f"about {field}")


def event(*fields: str, version: int = 1, **parts: Any) -> Event:
    return make_event(validation_warnings=tuple(map(issue, fields)), config_version=version, **parts)


def rejected(*fields: str, scenario: str | None = "vlog_feed", version: int = 1) -> Rejected:
    return Rejected(tuple(map(issue, fields)), None, scenario, version)


def series(counts: QualityCounts, *names: str) -> Series:
    """The values of all series, by the labels named."""
    (family,) = counts.collect()
    return {tuple(sample.labels[name] for name in names): sample.value for sample in family.samples}


def by_field(counts: QualityCounts) -> Series:
    return {labels: value for labels, value in series(counts, "field", "verdict").items() if value}


def test_a_clean_event_is_counted_as_a_whole_only() -> None:
    counts = QualityCounts()
    counts.count("stream", "acme", [event(), event()], [])
    assert series(counts, "tenant", "scenario", "version", "field", "verdict", "place") == {
        ("acme", "vlog_feed", "1", "", "pass", "stream"): 2,
        ("acme", "vlog_feed", "1", "", "warn", "stream"): 0,
        ("acme", "vlog_feed", "1", "", "reject", "stream"): 0,
    }


def test_a_field_passes_in_every_event_that_has_no_issue_with_it() -> None:
    counts = QualityCounts()
    counts.count("stream", "acme", [event(), event("a"), event("a", "b")], [rejected("b")])
    assert by_field(counts) == {
        ("", "pass"): 1,
        ("", "warn"): 2,
        ("", "reject"): 1,
        ("a", "pass"): 2,
        ("a", "warn"): 2,
        ("b", "pass"): 2,
        ("b", "warn"): 1,
        ("b", "reject"): 1,
    }


def test_items_count_for_their_field_and_once_an_event() -> None:
    counts = QualityCounts()
    path = "scenario_data.video_data.seek_positions"
    counts.count("stream", "acme", [event(path, f"{path}.3", f"{path}.5.x")], [])
    assert series(counts, "field", "verdict")[path, "warn"] == 1
    assert len(by_field(counts)) == 2
    assert field_of("context.device_type") == "context.device_type"


def test_places_tenants_scenarios_and_versions_stand_apart() -> None:
    counts = QualityCounts()
    counts.count("stream", "acme", [event(), event(version=2), event(scenario_id="home")], [])
    counts.count("stream", "other", [event()], [])
    counts.count("door", "acme", [], [rejected("a")])
    groups = series(counts, "place", "tenant", "scenario", "version")
    assert set(groups) == {
        ("stream", "acme", "vlog_feed", "1"),
        ("stream", "acme", "vlog_feed", "2"),
        ("stream", "acme", "home", "1"),
        ("stream", "other", "vlog_feed", "1"),
        ("door", "acme", "vlog_feed", "1"),
    }


def test_scenarios_without_a_config_are_one_series_of_their_tenant() -> None:
    counts = QualityCounts()
    counts.count("stream", "acme", [event(scenario_id=f"s{n}", version=0) for n in range(50)], [])
    counts.count("stream", "acme", [], [rejected("", scenario=None, version=0)])
    assert series(counts, "scenario", "version", "verdict") == {
        ("", "0", "pass"): 50,
        ("", "0", "warn"): 0,
        ("", "0", "reject"): 1,
    }


def test_names_that_nobody_declared_are_one_series() -> None:
    counts = QualityCounts()
    warnings = (issue("scenario_data.video_data.x", Code.UNDECLARED_FIELD), issue("y", Code.UNKNOWN_FIELD))
    counts.count("stream", "acme", [make_event(validation_warnings=warnings, config_version=1)], [])
    assert by_field(counts) == {("", "warn"): 1, (UNDECLARED, "warn"): 1}


def test_fields_beyond_the_bound_are_one_series_counted_once_an_event() -> None:
    counts = QualityCounts(max_fields=2)
    counts.count("stream", "acme", [event("a", "b", "c", "d"), event("d"), event("a")], [])
    found = by_field(counts)
    assert {field for field, _ in found} == {"", "a", "b", OTHER}
    assert (found["a", "warn"], found[OTHER, "warn"], found[OTHER, "pass"]) == (2, 2, 1)


def test_of_too_many_groups_those_counted_last_are_kept() -> None:
    counts = QualityCounts(max_groups=2)
    for version in (1, 2, 1, 3):
        counts.count("stream", "acme", [event(version=version)], [])
    assert {version for (version,) in series(counts, "version")} == {"1", "3"}


def test_the_counts_are_a_counter_of_prometheus() -> None:
    registry = CollectorRegistry()
    counts = QualityCounts()
    registry.register(counts)
    counts.count("stream", "acme", [event('say "hi"\n')], [])
    text = generate_latest(registry).decode()
    assert "# TYPE millrace_data_quality_total counter" in text
    assert (
        'field="say \\"hi\\"\\n",place="stream",scenario="vlog_feed",tenant="acme",verdict="warn",version="1"' in text
    )


fields = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=3)
judged = st.tuples(st.sampled_from(["accept", "reject"]), st.sampled_from([0, 1]), fields)


@given(st.lists(judged, max_size=30), st.integers(1, 7))
def test_the_verdicts_of_every_field_add_up_to_the_events(batch: list[Any], size: int) -> None:
    counts = QualityCounts(max_fields=2)
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        accepted = [event(*names, version=version) for verdict, version, names in part if verdict == "accept"]
        refused = [rejected(*names, "a", version=version) for verdict, version, names in part if verdict == "reject"]
        counts.count("stream", "acme", accepted, refused)
    events = Counter(str(version) for _, version, _ in batch)
    sums: Counter[tuple[str, str]] = Counter()
    for (version, field, _), value in series(counts, "version", "field", "verdict").items():
        assert value >= 0
        sums[version, field] += int(value)
    assert all(total == events[version] for (version, _), total in sums.items())
    assert {version for version, _ in sums} == set(events)
