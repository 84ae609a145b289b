"""A scenario's recall mix: what it says of the sources of its lists, in place of the pipeline file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommenders.arrays import FloatArray
from recommenders.scenes import SourcePart


@dataclass(frozen=True, slots=True)
class Share:
    """A source's part in a list. `quota`: candidates at most, 0: it is off; `weight`: of its recall scores."""

    quota: int
    weight: float


RecallMix = Mapping[str, Share]
"""Source -> its share. A source not named is as the pipeline file says; one that the file lacks says nothing."""

Mixes = Callable[[str, str], RecallMix]
"""(tenant, scenario_id) -> the scenario's mix as it is now; empty where nothing is said of the scenario."""


def quota_of(source: SourcePart, mix: RecallMix) -> int:
    share = mix.get(source.part)
    return source.quota if share is None else share.quota


class SourceWeights:
    """The weights of a pipeline's sources under any mix, in the order of the pipeline's sources."""

    def __init__(self, sources: Sequence[SourcePart]) -> None:
        self._sources = sources
        self._of_file = np.array([source.weight for source in sources], np.float64)

    def under(self, mix: RecallMix) -> FloatArray:
        """(sources,)."""
        if not mix:
            return self._of_file
        return np.array([mix.get(source.part, source).weight for source in self._sources], np.float64)
