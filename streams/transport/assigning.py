"""Who reads what: partitions stay with the worker that has them, as far as all are to have equally many.

aiokafka's sticky assignor keeps its state on the class, where two consumers of a process mix theirs up, and is never
told the generation. This one is an object a consumer, and its arithmetic a plain function.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyAssignorUserDataV1
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.types import TP

VERSION: Final = 0


@dataclass(frozen=True, slots=True)
class Member:
    """What a worker may read, and what it had in which generation of the group."""

    topics: frozenset[str]
    had: frozenset[TP] = frozenset()
    generation: int = -1


def assign(members: Mapping[str, Member], partitions: Collection[TP]) -> dict[str, set[TP]]:
    """Every partition to one member that may read it; equally many each, as few moved as that allows.

    A partition that two claim stays with the one of the later generation. A member that has too many gives up some of
    the topic of which it has most, so that a tenant's partitions spread over the workers.
    """
    kept = _claimed(members, partitions)
    fewest, with_one_more = divmod(len(partitions), len(members))
    for place, name in enumerate(sorted(kept, key=lambda name: (-len(kept[name]), name))):
        kept[name] -= _surplus(kept[name], fewest + 1 if place < with_one_more else fewest)
    of_topic = Counter((name, tp.topic) for name, tps in kept.items() for tp in tps)
    for tp in sorted(set(partitions).difference(*kept.values())):
        able = [name for name, member in members.items() if tp.topic in member.topics]
        if able:
            name = min(able, key=lambda name: (len(kept[name]), of_topic[name, tp.topic], name))
            kept[name].add(tp)
            of_topic[name, tp.topic] += 1
    return kept


def _claimed(members: Mapping[str, Member], partitions: Collection[TP]) -> dict[str, set[TP]]:
    claims: dict[TP, list[tuple[int, str]]] = {}
    for name, member in members.items():
        for tp in member.had.intersection(partitions):
            if tp.topic in member.topics:
                claims.setdefault(tp, []).append((member.generation, name))
    kept: dict[str, set[TP]] = {name: set() for name in members}
    for tp, claimants in claims.items():
        kept[max(claimants)[1]].add(tp)
    return kept


def _surplus(held: Iterable[TP], quota: int) -> set[TP]:
    """What to give up: of the topics of which most is held."""
    of_topic = Counter[str]()
    ranked = []
    for tp in sorted(held):
        ranked.append((of_topic[tp.topic], tp))
        of_topic[tp.topic] += 1
    return {tp for _, tp in sorted(ranked)[quota:]}


class KeepingAssignor:
    """`assign` as aiokafka calls an assignor. `generation`: that of this consumer's last assignment."""

    name = "keeping"

    def __init__(self, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._had: list[tuple[str, list[int]]] = []

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        claim = StickyAssignorUserDataV1(self._had, self._generation()).encode()
        return ConsumerProtocolMemberMetadata(VERSION, list(topics), claim)

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self._had = [(topic, list(numbers)) for topic, numbers in assignment.assignment]

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        told = {name: _member(metadata) for name, metadata in members.items()}
        topics = set().union(*(member.topics for member in told.values()))
        partitions = [TP(topic, number) for topic in topics for number in cluster.partitions_for_topic(topic) or ()]
        return {name: _assignment(tps) for name, tps in assign(told, partitions).items()}


def _member(metadata: ConsumerProtocolMemberMetadata) -> Member:
    claim = StickyAssignorUserDataV1.decode(metadata.user_data)
    had = frozenset(TP(topic, number) for topic, numbers in claim.previous_assignment for number in numbers)
    return Member(frozenset(metadata.subscription), had, claim.generation)


def _assignment(tps: Iterable[TP]) -> ConsumerProtocolMemberAssignment:
    by_topic: dict[str, list[int]] = {}
    for tp in sorted(tps):
        by_topic.setdefault(tp.topic, []).append(tp.partition)
    return ConsumerProtocolMemberAssignment(VERSION, list(by_topic.items()), b"")
