"""Deficit round robin, without Kafka: partitions are numbers of records."""

from collections import Counter
from dataclasses import dataclass, field

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.fairness import RECORD_BYTES, FairShares, Taken, Turns

TURN, LONE = 10, 40
TURNS = Turns(turn_records=TURN, lone_turn_records=LONE, bounded=False)
BACKLOGS = st.dictionaries(
    st.builds(TP, st.sampled_from("abcde"), st.integers(0, 3)), st.integers(1, 100), min_size=1, max_size=12
)


@dataclass
class Kafka:
    """What waits in each partition, and who got how much, in order."""

    waiting: dict[TP, int]
    size: int = 100
    log: list[tuple[str, int]] = field(default_factory=list)
    batches: list[tuple[TP, int]] = field(default_factory=list)

    def take(self, tp: TP, at_most: int) -> Taken:
        taken = min(at_most, self.waiting[tp])
        self.waiting[tp] -= taken
        self.log.append((tp.topic, taken))
        self.batches.append((tp, taken))
        return Taken(taken, taken * self.size)

    def ready(self) -> list[TP]:
        return [tp for tp, records in self.waiting.items() if records]

    def total(self, tenant: str) -> int:
        return sum(taken for name, taken in self.log if name == tenant)


def fair_shares(
    turns: Turns = TURNS, at_work: Counter[str] | None = None, clock: list[float] | None = None
) -> FairShares:
    now = clock or [0.0]
    return FairShares(str, turns, at_work if at_work is not None else Counter(), clock=lambda: now[0])


def test_a_lone_tenant_gets_everything_in_one_batch() -> None:
    kafka = Kafka({TP("a", 0): 100})
    fair_shares().deal(kafka.ready(), kafka.take)
    assert kafka.batches == [(TP("a", 0), LONE)]


def test_batches_are_cut_to_a_turn_while_another_waits() -> None:
    kafka = Kafka({TP("noisy", 0): 1000, TP("quiet", 0): 3})
    fair_shares().deal(kafka.ready(), kafka.take)
    assert kafka.log == [
        ("noisy", TURN),
        ("quiet", 3),
        ("noisy", TURN),
        ("noisy", TURN),
        ("noisy", LONE - 3 * TURN - 3),
    ]


def test_turns_stay_small_while_a_tenant_may_come_back() -> None:
    clock, kafka = [0.0], Kafka({TP("noisy", 0): 1000, TP("quiet", 0): 1})
    shares = fair_shares(clock=clock)
    shares.deal(kafka.ready(), kafka.take)
    clock[0] = TURNS.linger_s
    shares.deal(kafka.ready(), kafka.take)
    assert max(taken for _, taken in kafka.log) == TURN
    clock[0] += 1
    shares.deal(kafka.ready(), kafka.take)
    assert max(taken for _, taken in kafka.log) > TURN


def test_a_tenant_has_at_most_two_turns_at_work() -> None:
    at_work, kafka = Counter[str](), Kafka({TP("noisy", 0): 1000, TP("noisy", 1): 1000, TP("quiet", 0): 1})
    shares = fair_shares(Turns(TURN, 1000), at_work)
    assert shares.deal(kafka.ready(), kafka.take), "noisy is held back"
    assert kafka.total("noisy") == 2 * TURN
    at_work["noisy"] = 2 * TURN
    shares.deal(kafka.ready(), kafka.take)
    assert kafka.total("noisy") == 2 * TURN
    at_work["noisy"] = TURN
    shares.deal(kafka.ready(), kafka.take)
    assert kafka.total("noisy") == 3 * TURN


def test_large_records_count_as_several() -> None:
    kafka = Kafka({TP("large", 0): 10_000, TP("small", 0): 10_000})

    def take(tp: TP, at_most: int) -> Taken:
        taken = kafka.take(tp, at_most)
        return Taken(taken.records, taken.records * RECORD_BYTES * (5 if tp.topic == "large" else 0))

    shares = fair_shares()
    for _ in range(40):
        shares.deal(kafka.ready(), take)
    assert abs(5 * kafka.total("large") - kafka.total("small")) <= 6 * TURN


@given(BACKLOGS)
def test_nothing_stands_still_while_there_are_records(backlog: dict[TP, int]) -> None:
    kafka, shares = Kafka(dict(backlog)), fair_shares()
    while kafka.ready():
        before = sum(kafka.waiting.values())
        shares.deal(kafka.ready(), kafka.take)
        assert before - sum(kafka.waiting.values()) == min(LONE, before)


@given(BACKLOGS, st.lists(st.tuples(st.builds(TP, st.sampled_from("abcde"), st.integers(0, 3)), st.integers(1, 50))))
def test_no_tenant_with_records_waits_longer_than_a_round(backlog: dict[TP, int], more: list[tuple[TP, int]]) -> None:
    kafka, shares = Kafka(dict(backlog)), fair_shares()
    while kafka.ready():
        waiting = {tp.topic for tp in kafka.ready()}
        since, before = {tenant: len(kafka.log) for tenant in waiting}, len(kafka.log)
        for _ in range(5 * TURN * 4 // LONE + 1):  # calls enough for a round
            shares.deal(kafka.ready(), kafka.take)
        for tenant in waiting:
            first = next(at for at in range(since[tenant], len(kafka.log)) if kafka.log[at][0] == tenant)
            others = Counter[str]()
            for name, taken in kafka.log[before:first]:
                others[name] += taken
            assert all(taken <= TURN for taken in others.values())
        if more:
            tp, records = more.pop()
            kafka.waiting[tp] = kafka.waiting.get(tp, 0) + records


@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 60))
def test_shares_are_equal_within_a_turn(tenants: int, partitions: int, calls: int) -> None:
    kafka = Kafka({TP(f"t{n}", p): 100_000 for n in range(tenants) for p in range(1 + n % partitions)})
    shares = fair_shares()
    for _ in range(calls):
        shares.deal(kafka.ready(), kafka.take)
        totals = [kafka.total(f"t{n}") for n in range(tenants)]
        assert max(totals) - min(totals) <= TURN


@given(st.integers(2, 6), st.integers(1, 60))
def test_a_tenants_partitions_are_read_alike(partitions: int, calls: int) -> None:
    kafka = Kafka({TP("a", p): 100_000 for p in range(partitions)} | {TP("b", 0): 100_000})
    shares = fair_shares()
    for _ in range(calls):
        shares.deal(kafka.ready(), kafka.take)
    counts = Counter({p: 0 for p in range(partitions)})
    counts.update(tp.partition for tp, _ in kafka.batches if tp.topic == "a")
    assert max(counts.values()) - min(counts.values()) <= 1
