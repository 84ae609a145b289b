"""Erased users as every process knows them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.erased import ErasedUser, ErasedUsers, Later, key_id, listed_hash
from schemas.event import Context
from tests.factories import NOON, make_event

KEY = b"a key of the tests alone"


def erased_users(later: Later, *users: tuple[str, str], key: bytes = KEY) -> ErasedUsers:
    """Each (tenant, user) erased at NOON."""
    erased = ErasedUsers(later)
    erased.use_key(key)
    for tenant, user in users:
        assert erased.note(erasure(tenant, user, key))
    return erased


def erasure(tenant: str, user: str, key: bytes = KEY, at: int = NOON) -> ErasedUser:
    return ErasedUser(tenant_id=tenant, user=listed_hash(key, tenant, user), erased_at=at, key_id=key_id(key))


@pytest.mark.parametrize("later", Later)
def test_what_came_before_the_erasure_is_forgotten_whatever_the_setting(later: Later) -> None:
    erasures = erased_users(later, ("acme", "u1")).of("acme")
    assert erasures is not None
    for received_at in (0, NOON - 1, NOON):
        assert erasures.admit(make_event(user_id="u1", received_at=received_at)) is None


def test_what_comes_later_is_as_the_setting_says() -> None:
    event = make_event(user_id="u1", received_at=NOON + 1)
    accepting, refusing = (erased_users(later, ("acme", "u1")).of("acme") for later in (Later.ACCEPT, Later.REFUSE))
    assert accepting is not None and accepting.admit(event) is event
    assert refusing is not None and refusing.admit(event) is None


def test_a_pseudonym_is_one_for_a_user_and_the_event_says_nothing_else_of_them() -> None:
    erasures = erased_users(Later.PSEUDONYMISE, ("acme", "ann"), ("acme", "bob")).of("acme")
    assert erasures is not None
    context = Context("pc", os="linux", location="Ulm", ip="10.1.2.3", scene="home", request_id="r1")
    text = '{"device_type":"pc","ip":"10.1.2.3","mail":"ann@example.org"}'

    def event(user: str) -> bytes:
        whole = make_event(user_id=user, received_at=NOON + 1, context=context, context_json=text, extra_data='{"a":1}')
        taken = erasures.admit(whole)
        assert taken is not None
        assert erasures.admit(taken) is taken
        return msgspec.json.encode(taken)

    assert event("ann") == event("ann") != event("bob")
    taken = msgspec.json.decode(event("ann"))
    assert taken["user_id"].startswith("anon_")
    assert not any(secret in event("ann").decode() for secret in ("ann", "Ulm", "10.1.2.3", "mail"))
    assert taken["context_json"] == '{"device_type":"pc","os":"linux","scene":"home","request_id":"r1"}'
    assert (taken["extra_data"], taken["item_id"]) == (None, "i1")


@given(st.text(min_size=1), st.text(min_size=1))
def test_only_the_erased_user_of_that_tenant_is_recognised(user: str, other: str) -> None:
    erased = erased_users(Later.REFUSE, ("acme", user))
    assert erased.of("globex") is None
    erasures = erased.of("acme")
    assert erasures is not None and erasures.among([user]) == [user]
    assert bool(erasures.among([other])) == (user == other)


def test_the_list_of_another_key_recognises_nobody_and_says_so() -> None:
    erased = ErasedUsers()
    erased.use_key(KEY)
    assert not erased.note(erasure("acme", "u1", b"another key of the tests"))
    assert erased.of("acme") is None


def test_an_erasure_made_again_moves_its_moment() -> None:
    erased = erased_users(Later.ACCEPT, ("acme", "u1"))
    assert erased.note(erasure("acme", "u1", at=NOON + 10))
    erasures = erased.of("acme")
    assert erasures is not None
    assert (erasures.version, erasures.newest_ms) == (2, NOON + 10)
    assert erased.note(erasure("acme", "u1", at=NOON + 10))
    assert erasures.version == 2
    assert erasures.among(["u0", "u1", "u2"]) == ["u1"]
    assert erasures.admit(make_event(user_id="u1", received_at=NOON + 10)) is None


def test_a_key_may_be_longer_than_the_hash_takes() -> None:
    assert erased_users(Later.REFUSE, ("acme", "u1"), key=b"k" * 100).of("acme") is not None
    assert listed_hash(b"k" * 100, "acme", "u1") != listed_hash(b"k" * 101, "acme", "u1")
