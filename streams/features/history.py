"""Training rows: each event of a history with the features that its user had before it.

The objects are those of the specification (`fold.py`), which what Redis holds is held to by property tests, so what a
model is trained on is what a request would have read at that moment, had everything before been applied: current
session and recent list, as their keys hold them. A session that an event finds closed is the one before it: it is what
Redis holds until the event is applied.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.event import Event
from streams.features.fold import Fold
from streams.features.model import Signals, Sizes
from streams.features.watermark import Closing


@dataclass(frozen=True, slots=True)
class UserFeatures:
    """`session`: the fields of `user:session:{user}`, empty for a user who never came. `recent`: newest first."""

    session: dict[str, str]
    recent: list[tuple[str, str, int]]


def replay(
    events: Iterable[Event],
    signals: Signals,
    *,
    catalogue: Mapping[str, str] | None = None,
    sizes: Sizes | None = None,
    closing: Closing | None = None,
) -> Iterator[tuple[Event, UserFeatures]]:
    """One tenant's events in the order of their raw offsets, partition by partition or as they were applied.

    An event whose id came before is left out. `catalogue` is item -> category. What is given is a copy.
    """
    folding = Fold(signals, catalogue=catalogue, sizes=sizes, closing=closing)
    for event in events:
        if folding.is_new(event):
            yield event, features_of(folding, event.user_id)
            folding.add(event)


def features_of(folding: Fold, user: str) -> UserFeatures:
    """A user's features as of now."""
    content = folding.content
    session = content.sessions.get(user)
    recent: list[Any] = [msgspec.json.decode(entry) for entry in content.recents.get(user, ())]
    return UserFeatures(session.as_hash() if session else {}, [(item, action, at) for item, action, at in recent])
