"""Partitions stay where they are, as far as all are to have equally many."""

from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.assigning import KeepingAssignor, Member, assign

TOPICS = frozenset("abcd")
PARTITIONS = st.lists(st.builds(TP, st.sampled_from("abcd"), st.integers(0, 11)), unique=True, min_size=1)
HAD = st.frozensets(st.builds(TP, st.sampled_from("abcde"), st.integers(0, 11)))
MEMBERS = st.dictionaries(
    st.sampled_from("uvwxyz"), st.builds(Member, st.just(TOPICS), HAD, st.integers(-1, 3)), min_size=1
)


def fresh(*names: str) -> dict[str, Member]:
    return {name: Member(TOPICS) for name in names}


def having(assigned: dict[str, set[TP]], generation: int) -> dict[str, Member]:
    return {name: Member(TOPICS, frozenset(tps), generation) for name, tps in assigned.items()}


@given(MEMBERS, PARTITIONS)
def test_every_partition_has_one_reader_and_all_have_equally_many(
    members: dict[str, Member], partitions: list[TP]
) -> None:
    assigned = assign(members, partitions)
    assert sorted(tp for tps in assigned.values() for tp in tps) == sorted(partitions)
    sizes = [len(tps) for tps in assigned.values()]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 5), PARTITIONS, PARTITIONS)
def test_a_new_topic_moves_no_more_than_equal_shares_ask_for(count: int, before: list[TP], after: list[TP]) -> None:
    first = assign(fresh(*"uvwxyz"[:count]), before)
    second = assign(having(first, 1), sorted({*before, *after}))
    moved = [tp for name, tps in first.items() for tp in tps if tp not in second[name]]
    assert not moved


@given(st.integers(1, 5), PARTITIONS)
def test_a_member_that_joins_gets_its_share_and_nothing_else_moves(count: int, partitions: list[TP]) -> None:
    first = assign(fresh(*"uvwxy"[:count]), partitions)
    second = assign(having(first, 1) | fresh("z"), partitions)
    moved = [tp for name, tps in first.items() for tp in tps if tp not in second[name]]
    assert set(moved) == second["z"]


@given(st.integers(2, 6), PARTITIONS)
def test_when_a_member_leaves_the_others_keep_theirs(count: int, partitions: list[TP]) -> None:
    first = assign(fresh(*"uvwxyz"[:count]), partitions)
    second = assign(having({name: tps for name, tps in first.items() if name != "u"}, 1), partitions)
    assert all(first[name] <= second[name] for name in second)


def test_of_two_claims_the_later_generation_counts() -> None:
    tp = TP("a", 0)
    members = {"u": Member(TOPICS, frozenset({tp}), 3), "v": Member(TOPICS, frozenset({tp}), 4)}
    assert assign(members, [tp]) == {"u": set(), "v": {tp}}


def test_what_is_given_up_spreads_a_topic_over_the_members() -> None:
    everything = {TP(topic, number) for topic in "abcd" for number in range(4)}
    assigned = assign(having({"u": everything}, 1) | fresh("v"), sorted(everything))
    assert all(sum(tp.topic == topic for tp in assigned["v"]) == 2 for topic in "abcd")


def test_a_member_gets_no_topic_that_it_does_not_know() -> None:
    members = {"u": Member(frozenset("a")), "v": Member(frozenset("ab"))}
    assigned = assign(members, [TP("a", 0), TP("b", 0), TP("b", 1), TP("b", 2)])
    assert assigned["v"] >= {TP("b", 0), TP("b", 1), TP("b", 2)}


class Cluster:
    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {"a": {0, 1, 2}}.get(topic)


def test_members_tell_the_leader_what_they_had() -> None:
    one, other = KeepingAssignor(lambda: 7), KeepingAssignor(lambda: 7)
    one.on_assignment(ConsumerProtocolMemberAssignment(0, [("a", [2])], b""))
    metadata = {
        name: ConsumerProtocolMemberMetadata.decode(assignor.metadata({"a", "gone"}).encode())
        for name, assignor in (("one", one), ("other", other))
    }
    cluster: Any = Cluster()
    assigned = one.assign(cluster, metadata)
    assert {name: answer.partitions() for name, answer in assigned.items()} == {
        "one": [TP("a", 1), TP("a", 2)],
        "other": [TP("a", 0)],
    }
