"""What a difference between two versions of a config means for events: a verdict, and a sentence for the analyst."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from tracking_configs.field_rules import shortened
from tracking_configs.model import TrackingConfig

_LISTED: Final = 5  # names or values that a sentence repeats
_LISTED_LENGTH: Final = 40  # characters of each


class Verdict(StrEnum):
    """From the best to the worst. A clean event is one that is accepted without a warning of its scenario."""

    COMPATIBLE = "compatible"  # no event is judged otherwise
    WIDENING = "widening"  # clean events stay clean and accepted ones accepted; some others are no longer refused
    BREAKING = "breaking"  # some clean event warns or is rejected, or some event that only warned is rejected


class Effect(NamedTuple):
    """One sentence of a detail, and how bad that is."""

    verdict: Verdict
    sentence: str


class Detail(msgspec.Struct, frozen=True):
    """One change. `field` is a dotted path: `fields.price.min_value`, `fields.price`, `actions`, `enforcement`."""

    field: str
    verdict: Verdict
    message: str


class Change(msgspec.Struct, frozen=True):
    """All that changes, in the config's order. The verdict is the worst of the details, compatible without any."""

    verdict: Verdict
    details: tuple[Detail, ...]


NO_EFFECT: Final = Effect(Verdict.COMPATIBLE, "no event is judged otherwise")


class Voice(NamedTuple):
    """What the old version did to an event with something wrong in its scenario, and what the new one will do."""

    before: str
    after: str

    def refuses(self, who: str) -> Effect:
        return Effect(Verdict.BREAKING, f"{who} were fine and {self.after}")

    def admits(self, who: str) -> Effect:
        return Effect(Verdict.WIDENING, f"{who} {self.before} and are fine from now on")


REJECTING: Final = Voice("were rejected", "will be rejected")
WARNING: Final = Voice("warned", "will warn")


def voice_of(old: TrackingConfig, new: TrackingConfig) -> Voice:
    before, after = (REJECTING if config.enforcement == "reject" else WARNING for config in (old, new))
    return Voice(before.before, after.after)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=tuple(Verdict).index, default=Verdict.COMPATIBLE)


def detail(path: str, *effects: Effect) -> Detail:
    """One change with all of its effects; a change without any is one of wording."""
    effects = effects or (NO_EFFECT,)
    return Detail(path, worst(effect.verdict for effect in effects), "; ".join(effect.sentence for effect in effects))


def listed(values: Iterable[Any]) -> str:
    """The first few of them, and how many more there are."""
    texts = [shortened(str(value), _LISTED_LENGTH) for value in values]
    if len(texts) > _LISTED:
        texts[_LISTED:] = [f"{len(texts) - _LISTED} more"]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
