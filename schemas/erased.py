"""The users that were erased, as every process knows them: by keyed hashes, so that no list of them holds an id.

An event of an erased user that arrived before the erasure is forgotten, wherever it is met again: in flight, in a
replay, in a rebuild from Kafka. What becomes of later ones is a setting. A tenant without erased users costs one look
into a dict a batch; each erased user costs a process about 120 bytes.
"""

import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from schemas.event import Context, Event
from schemas.verdict import Code, Issue

PSEUDONYM_PREFIX: Final = "anon_"
# What of a context says nothing about who it was.
KEPT_CONTEXT: Final = ("device_type", "os", "scene", "request_id")
USER_ERASED: Final = Issue("user_id", Code.USER_ERASED, "the user was erased")


class Later(StrEnum):
    """What becomes of events that an erased user sends after the erasure."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    PSEUDONYMISE = "pseudonymise"


class ErasedUser(msgspec.Struct, frozen=True, kw_only=True):
    """The value on `erased-users`. `user`: `listed_hash` by the key that `key_id` names; `erased_at` is ms."""

    tenant_id: str
    user: str
    erased_at: int
    key_id: str


class ErasedUsers:
    """Who was erased, of all tenants, as far as this process has heard. `later`: what of their later events."""

    def __init__(self, later: Later = Later.REFUSE) -> None:
        self._later = later
        self._key = b""
        self._key_id = ""
        self._tenants: dict[str, TenantErasures] = {}

    def use_key(self, key: bytes) -> None:
        """The key of the hashes; before it is known no record is of use."""
        self._key, self._key_id = key, key_id(key)

    def note(self, erased: ErasedUser) -> bool:
        """Take one in; False where another key made its hash, so that the user cannot be recognised."""
        if erased.key_id != self._key_id:
            return False
        tenant = self._tenants.get(erased.tenant_id)
        if tenant is None:
            tenant = self._tenants[erased.tenant_id] = TenantErasures(erased.tenant_id, self._key, self._later)
        tenant.note(erased.user, erased.erased_at)
        return True

    def of(self, tenant: str) -> "TenantErasures | None":
        """Those of a tenant; None where it has none."""
        return self._tenants.get(tenant)


class TenantErasures:
    """The erased users of one tenant. `newest_ms`: when the last of them was erased; `version` grows with each."""

    def __init__(self, tenant: str, key: bytes, later: Later) -> None:
        self._tenant = tenant
        self._key = key
        self._later = later
        self._erased_at: dict[int, int] = {}  # the first 8 bytes of the hash -> ms
        self.newest_ms = 0
        self.version = 0

    def note(self, user: str, erased_at: int) -> None:
        """Again the same changes nothing."""
        if self._erased_at.get(_short(user)) != erased_at:
            self._erased_at[_short(user)] = erased_at
            self.newest_ms = max(self.newest_ms, erased_at)
            self.version += 1

    def forgets(self, user_id: str, at_ms: int) -> bool:
        """Whether nothing of the user from that moment, under the id itself, may be stored."""
        erased_at = self._when(user_id)
        return erased_at is not None and (at_ms <= erased_at or self._later is not Later.ACCEPT)

    def among(self, user_ids: Iterable[str]) -> list[str]:
        """Those who were erased; about 1 us a user."""
        return [user_id for user_id in user_ids if self._when(user_id) is not None]

    def admit(self, event: Event) -> Event | None:
        """The event as it may be taken; None where it may not. Doing it again changes nothing."""
        erased_at = self._when(event.user_id)
        if erased_at is None:
            return event
        if event.received_at <= erased_at or self._later is Later.REFUSE:
            return None
        return event if self._later is Later.ACCEPT else self._pseudonymised(event)

    def _when(self, user_id: str) -> int | None:
        return self._erased_at.get(_short(listed_hash(self._key, self._tenant, user_id)))

    def _pseudonymised(self, event: Event) -> Event:
        """The event under a name that stays the user's, without the parts that clients fill freely."""
        device = {name: getattr(event.context, name) for name in KEPT_CONTEXT}
        given = {name: value for name, value in device.items() if value is not None}
        return msgspec.structs.replace(
            event,
            user_id=PSEUDONYM_PREFIX + _mac(self._key, b"pseudonym", self._tenant, event.user_id, 12),
            context=Context(**device),
            context_json=msgspec.json.encode(given).decode(),
            extra_data=None,
        )


def listed_hash(key: bytes, tenant: str, user_id: str) -> str:
    """The user on the list of the erased: 32 hex digits, others in every tenant and in every receipt."""
    return _mac(key, b"erased", tenant, user_id, 16)


def key_id(key: bytes) -> str:
    """Which key it is, without telling it: 16 hex digits."""
    return hmac.digest(key, b"key\0", "sha256").hex()[:16]


def _mac(key: bytes, purpose: bytes, tenant: str, user_id: str, size: int) -> str:
    message = f"{tenant}\0{user_id}".encode(errors="surrogatepass")  # a tenant's name has no NUL
    return hashlib.blake2b(message, key=_fitting(key), digest_size=size, person=purpose).hexdigest()


def _fitting(key: bytes) -> bytes:
    """BLAKE2b takes keys of up to 64 bytes."""
    return key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()


def _short(user: str) -> int:
    return int(user[:16], 16)
