"""Data quality as counts: events judged, and the fields that had issues, by tenant, scenario and config version.

What a client may choose freely makes no series of its own: scenarios without a config share one a tenant, names that
nobody declared share one a group, and groups and their fields are bounded.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final, Literal

from prometheus_client import REGISTRY, Metric
from prometheus_client.registry import Collector

from schemas.event import Event
from schemas.metrics import DATA_QUALITY, QUALITY_LABELS
from schemas.verdict import Code, Issue, Rejected

Place = Literal["stream", "door"]  # where an event was judged; at a door only those count that it rejects

MAX_GROUPS: Final = 2000
MAX_FIELDS: Final = 100
WHOLE: Final = ""
UNDECLARED: Final = "(undeclared)"
OTHER: Final = "other"
PATH_PARTS: Final = 3  # scenario_data.video_data.seek_positions, of which .3 is an item

_WARN, _REJECT = 0, 1
_UNKNOWN_NAMES = (Code.UNDECLARED_FIELD, Code.UNKNOWN_FIELD)
_as_accepted = attrgetter("scenario_id", "config_version", "validation_warnings")
_as_rejected = attrgetter("scenario_id", "config_version", "errors")


def field_of(path: str) -> str:
    """The field that an issue's path counts for."""
    return ".".join(path.split(".", PATH_PARTS)[:PATH_PARTS])


class QualityCounts(Collector):
    """Counts since the process started; of more than `max_groups` groups those counted last are kept."""

    def __init__(self, *, max_groups: int = MAX_GROUPS, max_fields: int = MAX_FIELDS) -> None:
        self._groups: OrderedDict[tuple[str, ...], _Group] = OrderedDict()
        self._max_groups = max_groups
        self._max_fields = max_fields

    def count(self, place: Place, tenant: str, accepted: Iterable[Event], rejected: Iterable[Rejected]) -> None:
        """Count judged events of one tenant, which must be one of a bounded set."""
        for (scenario, version, issues), events in Counter(map(_as_accepted, accepted)).items():
            self._group(place, tenant, scenario, version).add(events, issues, _WARN)
        for (scenario, version, issues), events in Counter(map(_as_rejected, rejected)).items():
            self._group(place, tenant, scenario, version).add(events, issues, _REJECT)

    def describe(self) -> Iterable[Metric]:
        return DATA_QUALITY.describe()

    def collect(self) -> Iterator[Metric]:
        """One family; a field that had an issue has all three verdicts."""
        (family,) = DATA_QUALITY.describe()
        for group, counts in self._groups.items():
            for field, passed, warned, rejected in counts.rows():
                for verdict, events in (("pass", passed), ("warn", warned), ("reject", rejected)):
                    labels = dict(zip(QUALITY_LABELS, (*group, field, verdict), strict=True))
                    family.add_sample(family.name + "_total", labels, events)
        yield family

    def _group(self, place: str, tenant: str, scenario: str | None, version: int) -> "_Group":
        key = (place, tenant, scenario or "" if version else "", str(version))
        if key not in self._groups:
            self._groups[key] = _Group(self._max_fields)
            if len(self._groups) > self._max_groups:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]


class _Group:
    """The counts of one config version. `faults`: field -> events that it warned, and rejected."""

    __slots__ = ("events", "faults", "max_fields")

    def __init__(self, max_fields: int) -> None:
        self.events = 0
        self.faults: dict[str, list[int]] = {WHOLE: [0, 0], UNDECLARED: [0, 0], OTHER: [0, 0]}
        self.max_fields = max_fields

    def add(self, events: int, issues: tuple[Issue, ...], verdict: int) -> None:
        self.events += events
        if issues:
            for field in {WHOLE, *map(self._label, issues)}:
                self.faults[field][verdict] += events

    def rows(self) -> Iterator[tuple[str, int, int, int]]:
        """(field, passed, warned, rejected) of the whole and of each field that had an issue."""
        for field, (warned, rejected) in self.faults.items():
            if field == WHOLE or warned or rejected:
                yield field, self.events - warned - rejected, warned, rejected

    def _label(self, issue: Issue) -> str:
        if issue.code in _UNKNOWN_NAMES:
            return UNDECLARED
        field = field_of(issue.field)
        if field not in self.faults:
            if len(self.faults) >= self.max_fields + 3:
                return OTHER
            self.faults[field] = [0, 0]
        return field


QUALITY: Final = QualityCounts()
REGISTRY.register(QUALITY)
