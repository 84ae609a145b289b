"""Only the finished prefix of each partition is ever committed."""

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.batch import Batch
from streams.transport.ledger import Ledger
from tests.streams.fakes import make_batch

ACME = TP("user-behaviors-acme", 0)


def consecutive(sizes: list[int]) -> list[Batch]:
    batches, offset = [], 0
    for size in sizes:
        batches.append(make_batch(range(offset, offset + size)))
        offset += size
    return batches


def test_commits_nothing_while_the_first_batch_is_unfinished() -> None:
    ledger = Ledger(str)
    first, second = consecutive([3, 2])
    ledger.add(first)
    ledger.add(second)
    ledger.finish(second)
    assert ledger.committable() == {}
    ledger.finish(first)
    assert ledger.committable() == {ACME: 5}


def test_keeps_what_was_finished_while_a_commit_was_under_way() -> None:
    ledger = Ledger(str)
    first, second = consecutive([3, 2])
    ledger.add(first)
    ledger.add(second)
    ledger.finish(first)
    offsets = ledger.committable()
    ledger.finish(second)
    ledger.committed(offsets)
    assert ledger.committable() == {ACME: 5}


def test_offers_a_failed_commit_again() -> None:
    ledger = Ledger(str)
    (batch,) = consecutive([3])
    ledger.add(batch)
    ledger.finish(batch)
    assert ledger.committable() == ledger.committable() == {ACME: 3}
    ledger.committed({ACME: 3})
    assert ledger.committable() == {}


def test_a_batch_that_was_forgotten_moves_nothing() -> None:
    ledger = Ledger(str)
    old, new = consecutive([3, 2])
    ledger.add(old)
    ledger.forget(ACME)
    ledger.add(new)
    assert not ledger.finish(old)
    assert ledger.committable() == {}
    assert ledger.in_flight(ACME) == 1


def test_the_oldest_batch_is_the_first_that_is_unfinished() -> None:
    ledger = Ledger(str)
    batches = consecutive([1, 1, 1])
    for batch in batches:
        ledger.add(batch)
    ledger.finish(batches[1])
    assert ledger.oldest() == {ACME: batches[0]}
    ledger.finish(batches[0])
    assert ledger.oldest() == {ACME: batches[2]}
    ledger.forget(ACME)
    assert ledger.oldest() == {}


def test_what_is_set_aside_is_no_work_until_one_of_its_batches_is_finished() -> None:
    ledger = Ledger(str)
    batches = consecutive([3, 2, 1])
    for batch in batches[:2]:
        ledger.add(batch)
    ledger.set_aside(ACME)
    ledger.add(batches[2])
    assert ledger.at_work == {}
    ledger.finish(batches[0])
    assert ledger.at_work == {ACME.topic: 3}
    ledger.set_aside(ACME)
    ledger.forget(ACME)
    assert ledger.at_work == {}


@given(st.lists(st.sampled_from(["add", "finish", "aside", "forget"]), max_size=30))
def test_work_at_hand_is_never_counted_twice_nor_forgotten(deeds: list[str]) -> None:
    ledger, offset, unfinished = Ledger(str), 0, list[Batch]()
    for deed in deeds:
        if deed == "add":
            unfinished.append(make_batch([offset, offset + 1]))
            ledger.add(unfinished[-1])
            offset += 2
        elif deed == "finish" and unfinished:
            ledger.finish(unfinished.pop(len(unfinished) // 2))
            assert ledger.at_work.total() == 2 * len(unfinished)
        elif deed == "aside":
            ledger.set_aside(ACME)
            assert ledger.at_work.total() == 0
        elif deed == "forget":
            ledger.forget(ACME)
            unfinished.clear()
            assert ledger.at_work.total() == 0


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.randoms(use_true_random=False), st.data())
def test_the_committed_offset_is_the_end_of_the_finished_prefix(
    sizes: list[int], random: object, data: st.DataObject
) -> None:
    ledger = Ledger(str)
    batches = consecutive(sizes)
    for batch in batches:
        ledger.add(batch)
    finished = set(data.draw(st.permutations(range(len(batches))))[: data.draw(st.integers(0, len(batches)))])
    for place in finished:
        ledger.finish(batches[place])
    prefix = next((place for place in range(len(batches)) if place not in finished), len(batches))
    assert ledger.committable() == ({ACME: batches[prefix - 1].next_offset} if prefix else {})
