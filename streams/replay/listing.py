"""Which names a swap moves, and which it drops.

They are listed by scans of Redis, which take their time, and then kept up to date by what is folded meanwhile: so the
tenant's batches need not wait for a scan, nor for keys to be moved whose content is in use already.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streams.replay.shadow import ShadowKeys


@dataclass(slots=True)
class Listing:
    """Of one tenant: `moved` are names that the shadow has, `dropped` those that only the features in use have.

    A name that the shadow has and that is not moved has the same content in use, and no event has come to it since.
    """

    moved: set[bytes]
    dropped: set[bytes]

    async def follow(self, keys: ShadowKeys, touched: set[bytes], partitions: Iterable[int]) -> None:
        """Users' keys of these names may have changed since they were listed, and so may all that is of no user."""
        has = await keys.having(keys.shadow, touched)
        self.moved -= touched
        self.moved |= has | await keys.shared_names(partitions)
        self.dropped |= touched
        self.dropped -= has
