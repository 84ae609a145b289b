"""Time travel: what the features of one user were at a moment that is past.

The user's events up to it are folded by the specification, `streams.features.fold`, that Redis is held to. What an
event counts for is what it was judged to then; session gaps are those of the configs in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from streams.features.fold import Fold
from streams.features.model import DAY_MS, Lifetimes, Signals
from streams.features.watermark import Closing
from streams.replay.past_rows import Past


@dataclass(frozen=True, slots=True)
class PastFeatures:
    """`session` has the fields of `user:session`, as text, and is None where there was none or it had gone; `recent`:
    (item, action, ms), newest first; `given`: the weight that each item had of the user on the day of the moment, of
    which no more counts in hot lists than the cap. `is_whole` is false where the user had more events than are read.
    """

    user_id: str
    at: int
    events: int
    first_event_at: int | None
    last_event_at: int | None
    session: dict[str, str] | None
    recent: list[tuple[str, str, int]]
    follows: list[str]
    blocks: list[str]
    given: dict[str, float]
    is_whole: bool


def features_at(
    past: Past,
    user: str,
    at_ms: int,
    signals: Signals,
    *,
    closing: Closing | None = None,
    catalogue: Mapping[str, str] | None = None,
    lifetimes: Lifetimes | None = None,
) -> PastFeatures:
    """`catalogue`: item -> category, for events that name none."""
    closing, lifetimes = closing or Closing(), lifetimes or Lifetimes()
    folding, counted = Fold(signals, closing=closing, catalogue=catalogue), 0
    sessions = folding.content.all_sessions
    for event in past.events:
        reached = past.marks.get((event.partition, event.offset), 0)
        sessions.watermarks[event.partition] = max(reached, sessions.watermarks[event.partition])
        counted += folding.is_new(event)
        folding.add(event)
    for partition in list(sessions.watermarks):
        reached = max(past.last_marks.get(partition, 0), closing.at_clock(at_ms))
        sessions.watermarks[partition] = max(reached, sessions.watermarks[partition])
    sessions.close_passed()
    content, moments = folding.content, [event.timestamp for event in past.events]
    session = sessions.current.get(user)
    if session is not None and session.closed and session.closes_at + lifetimes.session_s * 1000 < at_ms:
        session = None
    entries: list[Any] = [msgspec.json.decode(entry) for entry in content.recents.get(user, [])]
    return PastFeatures(
        user_id=user,
        at=at_ms,
        events=counted,
        first_event_at=min(moments, default=None),
        last_event_at=max(moments, default=None),
        session=None if session is None else session.as_hash(),
        recent=[(item, action, moment) for item, action, moment in entries],
        follows=sorted(content.follows.get(user, ())),
        blocks=sorted(content.blocks.get(user, ())),
        given=dict(content.given.get((user, at_ms // DAY_MS), {})),
        is_whole=past.is_whole,
    )
