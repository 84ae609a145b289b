"""Redis keys are made and taken apart by one module, and never cross tenants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import KINDS, KeySpace, parse, parse_shadow
from schemas.topics import is_tenant

tenants = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True).filter(is_tenant)
ids = st.one_of(st.text(min_size=1, max_size=40), st.text(alphabet=":%/{}3A25é鸟", min_size=1, max_size=12))


@given(tenants, st.sampled_from(sorted(KINDS)), st.lists(ids, min_size=2, max_size=2), st.booleans())
def test_parse_takes_apart_what_key_makes(tenant: str, kind: str, some_ids: list[str], cluster: bool) -> None:
    chosen = tuple(some_ids[: KINDS[kind]])
    key = KeySpace(tenant, cluster=cluster).key(kind, *chosen)
    assert parse(key) == (tenant, kind, chosen)


@given(tenants, st.sampled_from(sorted(KINDS)), st.lists(ids, min_size=2, max_size=2), st.booleans())
def test_a_shadow_key_is_parsed_as_such_and_is_no_key_of_the_tenant(
    tenant: str, kind: str, some_ids: list[str], cluster: bool
) -> None:
    chosen = tuple(some_ids[: KINDS[kind]])
    shadow = KeySpace(tenant, cluster=cluster, shadow=True).key(kind, *chosen)
    assert parse_shadow(shadow) == (tenant, kind, chosen)
    assert shadow.startswith(KeySpace(tenant, cluster=cluster).prefix), "they share the tenant's hash slot"
    with pytest.raises(ValueError, match="not a key"):
        parse(shadow)
    with pytest.raises(ValueError, match="not a key"):
        parse_shadow(KeySpace(tenant, cluster=cluster).key(kind, *chosen))


@given(tenants, tenants, ids)
def test_two_tenants_never_share_a_key(one: str, other: str, user: str) -> None:
    same = KeySpace(one).key("user:session", user) == KeySpace(other).key("user:session", user)
    assert same == (one == other)


def test_a_key_begins_with_the_tenant_and_a_colon() -> None:
    assert KeySpace("acme").key("user:session", "u1") == "acme:user:session:u1"
    assert KeySpace("acme", cluster=True).key("user:session", "u1") == "{acme}:user:session:u1"


@pytest.mark.parametrize(("kind", "some_ids"), [("nope", ("a",)), ("user:session", ()), ("rec:cache", ("u",))])
def test_refuses_a_key_that_does_not_exist(kind: str, some_ids: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no key of kind"):
        KeySpace("acme").key(kind, *some_ids)


@pytest.mark.parametrize("key", ["", "acme", "acme:what:is:this", "acme:rec:cache:u1"])
def test_refuses_to_parse_a_stranger(key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        parse(key)
