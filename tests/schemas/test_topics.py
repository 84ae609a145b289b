"""Topic names, and which tenants may exist."""

import pytest

from schemas import topics


@pytest.mark.parametrize("tenant", ["acme", "a", "0day", "a-b_c", "x" * 63])
def test_takes_a_well_formed_tenant(tenant: str) -> None:
    assert topics.is_tenant(tenant)
    assert topics.tenant_of(topics.raw_topic(tenant), topics.RAW_PREFIX) == tenant


@pytest.mark.parametrize("tenant", ["", "Acme", "-a", "_a", "x" * 64, "a.b", "a:b", "templates", "health", "acme\n"])
def test_refuses_a_malformed_or_reserved_tenant(tenant: str) -> None:
    assert not topics.is_tenant(tenant)


@pytest.mark.parametrize("topic", ["user-behaviors-", "user-behaviors-ACME", "validated-behaviors-acme", "x"])
def test_a_topic_that_is_not_raw_has_no_raw_tenant(topic: str) -> None:
    assert topics.tenant_of(topic, topics.RAW_PREFIX) is None


def test_each_kind_of_topic_has_its_contract_name() -> None:
    made = [
        f("acme") for f in (topics.raw_topic, topics.validated_topic, topics.rejected_topic, topics.summaries_topic)
    ]
    assert made == [
        "user-behaviors-acme",
        "validated-behaviors-acme",
        "rejected-behaviors-acme",
        "session-summaries-acme",
    ]
