"""Redis keys (CONTRACTS §6). `KeySpace` makes every key of one tenant, `parse` takes any of them apart.

A key is `tenant:kind:id:id`. `:` and `%` inside ids are percent-encoded, so a key splits back exactly.
With `cluster=True` the tenant stands in braces: all of a tenant's keys share one hash slot, and the
scripts that touch several of them stay atomic.

A rebuild (streams/replay) writes the same keys behind `tenant:~shadow:`. No kind begins so and no id stands there, so
`parse` takes a shadow key for none of the tenant's, and `parse_shadow` none of the tenant's for a shadow.
"""

from typing import Final, NamedTuple

KINDS: Final[dict[str, int]] = {  # kind -> how many ids follow it
    "user:session": 1,
    "user:session_items": 1,
    "user:recent": 1,
    "user:heat": 2,
    "user:profile": 1,
    "user:follows": 1,
    "user:blocks": 1,
    "user:emb": 1,
    "item": 1,
    "items:new": 0,
    "game:sim": 1,
    "game:emb": 1,
    "hot:global": 0,
    "hot:category": 1,
    "hot:scenario": 1,
    "hot:global_short": 0,
    "hot:scenario_short": 1,
    "hot:landmarks": 0,
    "rec:cache": 2,
    "rec:meta": 2,
    "rec:similar": 1,
    "rec:page": 1,
    "boost": 1,
    "sessions:open": 1,
    "sessions:outbox": 1,
    "watermarks": 0,
    "seen": 1,
    "fence": 1,
    "parked": 0,
    "parked:resumed": 0,
    "features:held": 0,
    "features:replay": 0,
}
SHADOW: Final = "~shadow:"


class Key(NamedTuple):
    tenant: str
    kind: str
    ids: tuple[str, ...]


class KeySpace:
    """The keys of one tenant, or those of its shadow; it cannot make another's."""

    __slots__ = ("prefix", "tenant")

    def __init__(self, tenant: str, *, cluster: bool = False, shadow: bool = False) -> None:
        self.tenant = tenant
        self.prefix = (f"{{{tenant}}}:" if cluster else f"{tenant}:") + (SHADOW if shadow else "")

    def key(self, kind: str, *ids: str) -> str:
        """The key of `kind` for `ids`. Raises ValueError for a kind that does not exist or other ids."""
        if KINDS.get(kind) != len(ids):
            raise ValueError(f"no key of kind {kind!r} with {len(ids)} ids")
        return self.prefix + ":".join((kind, *map(encode_id, ids)))


def encode_id(value: str) -> str:
    return value.replace("%", "%25").replace(":", "%3A")


def decode_id(value: str) -> str:
    return value.replace("%3A", ":").replace("%25", "%")


def parse(key: str) -> Key:
    """The tenant, kind and ids of a key, in either form. Raises ValueError for a key that is not ours."""
    tenant, _, rest = key.partition(":")
    parts = rest.split(":")
    for kind, arity in KINDS.items():
        words = kind.split(":")
        if len(parts) == len(words) + arity and parts[: len(words)] == words:
            return Key(tenant.strip("{}"), kind, tuple(map(decode_id, parts[len(words) :])))
    raise ValueError(f"not a key of the platform: {key!r}")


def parse_shadow(key: str) -> Key:
    """The tenant, kind and ids of a shadow key. Raises ValueError for any other."""
    tenant, _, rest = key.partition(":")
    if not rest.startswith(SHADOW):
        raise ValueError(f"not a key of a shadow: {key!r}")
    return parse(f"{tenant}:{rest.removeprefix(SHADOW)}")
