"""What a scenario says about interest, beside its fields: the parts that a template, a draft and a config share."""

from typing import Literal

import msgspec


class Dwell(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The field that says how long a user stayed, and its unit."""

    field: str
    unit: Literal["s", "ms"]


class Positive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Which events say that a user liked an item: those of `actions`, unless they say that little was seen of it.

    `min_completion` (a share, 0 to 1) holds for events with a completion, `min_dwell_s` for those with a dwell time.
    """

    actions: tuple[str, ...] = ()
    min_completion: float | None = None
    min_dwell_s: float | None = None


class SourceShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A recall source's part in a scenario's lists: candidates at most (0: none), and the weight of its scores."""

    quota: int
    weight: float = 1.0


RecallMix = dict[str, SourceShare]  # by the source's name; one not named is as the pipeline file has it
