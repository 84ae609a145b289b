"""Ages of events: the fast counting against an ordinary histogram, one tenant per series, bounded."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.samples import Sample

from schemas.ages import EventAges
from schemas.lag import OTHERS
from schemas.metrics import AGE_BUCKETS

NOW = 1_790_000_000_000
HOUR_MS = 60 * 60 * 1000


def samples(ages: EventAges, name: str) -> Iterator[Sample]:
    for family in ages.collect():
        yield from (sample for sample in family.samples if sample.name == name)


def events_of(ages: EventAges, sink: str = "redis") -> dict[str, float]:
    """tenant -> events counted."""
    found = samples(ages, "millrace_event_age_seconds_count")
    return {sample.labels["tenant"]: sample.value for sample in found if sample.labels["sink"] == sink}


@given(batches=st.lists(st.lists(st.integers(-2_000, 700_000), max_size=40), max_size=5))
def test_batches_count_as_their_events_would_one_by_one(batches: list[list[int]]) -> None:
    ages, slow = EventAges(), Histogram("slow", "", buckets=AGE_BUCKETS, registry=None)
    for batch in batches:
        ages.observe("redis", "acme", [NOW - age_ms for age_ms in batch], NOW)
        for age_ms in batch:
            slow.observe(max(0, age_ms) / 1000)
    (reference,) = slow.collect()
    expected = {s.labels["le"]: s.value for s in reference.samples if s.name == "slow_bucket"}
    found = {s.labels["le"]: s.value for s in samples(ages, "millrace_event_age_seconds_bucket")}
    assert found == (expected if any(batches) else {})
    total = next((s.value for s in reference.samples if s.name == "slow_sum"), 0)
    assert sum(s.value for s in samples(ages, "millrace_event_age_seconds_sum")) == pytest.approx(total)


def test_each_sink_and_tenant_has_its_own_series() -> None:
    ages = EventAges()
    ages.observe("redis", "acme", [NOW], NOW)
    ages.observe("redis", "beta", [NOW, NOW], NOW)
    ages.observe("clickhouse", "acme", [NOW] * 3, NOW)
    assert events_of(ages) == {"acme": 1, "beta": 2}
    assert events_of(ages, "clickhouse") == {"acme": 3}


def test_a_batch_without_events_makes_no_series() -> None:
    ages = EventAges()
    ages.observe("redis", "acme", [], NOW)
    assert events_of(ages) == {}


def test_tenants_beyond_the_bound_share_a_series() -> None:
    ages = EventAges(max_tenants=2)
    for tenant in ("a", "b", "c", "d", "a"):
        ages.observe("redis", tenant, [NOW], NOW)
    assert events_of(ages) == {"a": 2, "b": 1, OTHERS: 2}


def test_a_tenant_without_events_for_an_hour_makes_room() -> None:
    ages = EventAges(max_tenants=2)
    ages.observe("redis", "a", [NOW], NOW)
    ages.observe("redis", "b", [NOW], NOW + HOUR_MS)
    ages.observe("redis", "c", [NOW], NOW + HOUR_MS + 1)
    assert events_of(ages) == {"b": 1, "c": 1}


def test_the_ages_are_a_histogram_of_prometheus() -> None:
    registry = CollectorRegistry()
    ages = EventAges()
    registry.register(ages)
    ages.observe("redis", "acme", [NOW - 7], NOW)
    text = generate_latest(registry).decode()
    assert 'millrace_event_age_seconds_bucket{le="0.005",sink="redis",tenant="acme"} 0.0' in text
    assert 'millrace_event_age_seconds_bucket{le="0.01",sink="redis",tenant="acme"} 1.0' in text
