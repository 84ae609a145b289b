"""What the processes of a platform say at /metrics: one look at all of them, and what changed between two looks."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

TIMEOUT_S: Final = 2.0

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look. `samples`: process -> metric name -> its samples; `problems`: process -> why it did not answer."""

    at_s: float
    samples: Mapping[str, Mapping[str, Sequence[Sample]]]
    problems: Mapping[str, str]

    def values(self, name: str, *labels: str) -> dict[Labels, float]:
        """Labels' values -> the metric, summed over processes and the other labels."""
        found: defaultdict[Labels, float] = defaultdict(float)
        for sample in self._samples(name):
            found[_key(sample.labels, labels)] += sample.value
        return dict(found)

    def largest(self, name: str, *labels: str) -> dict[Labels, float]:
        """Labels' values -> the metric, the largest over processes and the other labels."""
        found: dict[Labels, float] = {}
        for sample in self._samples(name):
            key = _key(sample.labels, labels)
            found[key] = max(sample.value, found.get(key, sample.value))
        return found

    def of_process(self, process: str, name: str) -> float | None:
        """A metric without labels; None where the process does not have it."""
        return next((sample.value for sample in self.samples.get(process, {}).get(name, ())), None)

    def counted_since(self, before: "Scrape", name: str, *labels: str) -> dict[Labels, float]:
        """Labels' values -> growth of a counter. One that fell began anew.

        A process that did not answer both times says nothing.
        """
        grown: defaultdict[Labels, float] = defaultdict(float)
        for process in self.samples.keys() & before.samples.keys():
            old = {_series(sample): sample.value for sample in before.samples[process].get(name, ())}
            for sample in self.samples[process].get(name, ()):
                past = old.get(_series(sample), 0.0)
                grown[_key(sample.labels, labels)] += sample.value - (past if sample.value >= past else 0.0)
        return dict(grown)

    def rates_since(self, before: "Scrape", name: str, *labels: str) -> dict[Labels, float]:
        """Labels' values -> growth of a counter a second."""
        return {
            key: grown / self.seconds_since(before) for key, grown in self.counted_since(before, name, *labels).items()
        }

    def seconds_since(self, before: "Scrape") -> float:
        return self.at_s - before.at_s

    def of(self, process: str) -> "Scrape":
        """What one process said."""
        return Scrape(self.at_s, {process: self.samples.get(process, {})}, {})

    def _samples(self, name: str) -> Iterator[Sample]:
        for said in self.samples.values():
            yield from said.get(name, ())


def _key(labels: Mapping[str, str], wanted: Sequence[str]) -> Labels:
    return tuple(labels.get(label, "") for label in wanted)


def _series(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset(sample.labels.items())


async def scrape(addresses: Mapping[str, str], client: httpx.AsyncClient) -> Scrape:
    """Look at all processes at once. `addresses`: process -> URL."""
    answers = await asyncio.gather(*(_read(client, url) for url in addresses.values()))
    found = dict(zip(addresses, answers, strict=True))
    return Scrape(
        time.monotonic(),
        {name: answer for name, answer in found.items() if not isinstance(answer, str)},
        {name: answer for name, answer in found.items() if isinstance(answer, str)},
    )


async def _read(client: httpx.AsyncClient, url: str) -> Mapping[str, Sequence[Sample]] | str:
    """The samples by name, or why there are none."""
    try:
        answer = await client.get(url, timeout=TIMEOUT_S)
        return samples_of(answer.raise_for_status().text)
    except (httpx.HTTPError, ValueError) as error:
        return f"{url} does not answer: {str(error) or type(error).__name__}"


def samples_of(text: str) -> Mapping[str, Sequence[Sample]]:
    """A page of Prometheus' text form. Raises ValueError where it is none."""
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name].append(sample)
    return found


def quantile(within: Mapping[float, float], share: float) -> float | None:
    """The value below which that share lies, as Prometheus estimates it; None of nothing.

    `within`: upper bound -> how many are at most that, infinity among them. What lies above the last finite bound is
    taken for it.
    """
    bounds = sorted(within)
    if not bounds or not within[bounds[-1]]:
        return None
    wanted, lower, below = share * within[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if within[bound] >= wanted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - below) / (within[bound] - below)
        lower, below = bound, within[bound]
    return lower
