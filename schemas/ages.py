"""How old events are when a sink shows them: a histogram over events, not over batches, by sink and tenant.

Every event of a batch counts, with its own age, so that a quantile is one of events: a batch of 2,000 weighs 2,000
times as much as a batch of one, and what waited longest in it is not taken for all. A batch costs one sort and a
search a bucket.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from schemas.lag import OTHERS
from schemas.metrics import AGE_BUCKETS, EVENT_AGE

MAX_TENANTS: Final = 200  # with a series of their own, a sink
IDLE_MS: Final = 60 * 60 * 1000  # a tenant without events for so long makes room for another

_BOUNDS_MS: Final = tuple(round(bound * 1000) for bound in AGE_BUCKETS)
_LABELS: Final = (*map(floatToGoString, AGE_BUCKETS), "+Inf")


class EventAges(Collector):
    """Ages since the process started. Of more than `max_tenants` busy tenants a sink, the later ones share a series."""

    def __init__(self, *, max_tenants: int = MAX_TENANTS, idle_ms: int = IDLE_MS) -> None:
        self._sinks: dict[str, dict[str, _Ages]] = {}
        self._max_tenants = max_tenants
        self._idle_ms = idle_ms

    def observe(self, sink: str, tenant: str, arrivals_ms: Iterable[int], now_ms: int) -> None:
        """Count events of one tenant that came at `arrivals_ms` and are shown now. One from the future is new."""
        arrivals = sorted(arrivals_ms)
        if arrivals:
            self._of(sink, tenant, now_ms).add(arrivals, now_ms)

    def describe(self) -> Iterable[Metric]:
        return EVENT_AGE.describe()

    def collect(self) -> Iterator[Metric]:
        (declared,) = EVENT_AGE.describe()
        family = HistogramMetricFamily(declared.name, declared.documentation, labels=("sink", "tenant"))
        for sink, tenants in self._sinks.items():
            for tenant, ages in tenants.items():
                buckets = list(zip(_LABELS, [*ages.within, ages.events], strict=True))
                family.add_metric((sink, tenant), buckets, ages.sum_ms / 1000)
        yield family

    def _of(self, sink: str, tenant: str, now_ms: int) -> "_Ages":
        tenants = self._sinks.setdefault(sink, {})
        if tenant not in tenants and len(tenants) - (OTHERS in tenants) >= self._max_tenants:
            tenant = tenant if self._make_room(tenants, now_ms) else OTHERS
        return tenants.setdefault(tenant, _Ages())

    def _make_room(self, tenants: dict[str, "_Ages"], now_ms: int) -> bool:
        """Whether tenants without events for a while could be dropped."""
        idle = [name for name, ages in tenants.items() if name != OTHERS and now_ms - ages.seen_ms > self._idle_ms]
        for name in idle:
            del tenants[name]
        return bool(idle)


class _Ages:
    """`within`: events at most as old as each bound."""

    __slots__ = ("events", "seen_ms", "sum_ms", "within")

    def __init__(self) -> None:
        self.events = 0
        self.within = [0] * len(_BOUNDS_MS)
        self.sum_ms = 0
        self.seen_ms = 0

    def add(self, arrivals: list[int], now_ms: int) -> None:
        """`arrivals` are sorted, oldest first."""
        events, past = len(arrivals), bisect_right(arrivals, now_ms)
        self.events += events
        self.sum_ms += past * now_ms - sum(arrivals[:past])
        self.seen_ms = now_ms
        for index, bound in enumerate(_BOUNDS_MS):
            self.within[index] += events - bisect_left(arrivals, now_ms - bound)


AGES: Final = EventAges()
REGISTRY.register(AGES)
