"""The schedule of a run: seeded, complete, and within what the market is built to stand."""

from collections import Counter

from localnet.chaos import TERMS
from localnet.faults import CHAIN_FAULTS, KILLS, REORG_DEPTH_MAX, Injection, Kind, plan_injections


def a_plan(seed: int = 1) -> list[Injection]:
    return plan_injections(seed, kills=200, faults=50, stalls=20, skews=10, suppliers=3, gap_s=3.0)


def test_the_same_seed_gives_the_same_schedule_and_another_gives_another() -> None:
    assert a_plan(1) == a_plan(1)
    assert a_plan(1) != a_plan(2)


def test_everything_asked_for_is_in_it_and_every_kind_of_it() -> None:
    counts = Counter(each.kind for each in a_plan())

    assert sum(counts[kind] for kind in KILLS) == 200
    assert sum(counts[kind] for kind in CHAIN_FAULTS) == 50
    assert counts[Kind.STALL] == 20
    assert counts[Kind.SKEW] == 10
    assert counts.keys() == set(Kind)


def test_every_node_is_hit() -> None:
    kills = {each.victim for each in a_plan() if each.kind is Kind.KILL_SUPPLIER}
    stalls = {each.victim for each in a_plan() if each.kind is Kind.STALL}

    assert kills == {0, 1, 2}
    assert stalls == {0, 1, 2, 3}


def test_reorganisations_stay_within_the_confirmations_and_before_the_seed() -> None:
    assert {each.depth for each in a_plan()} == set(range(1, REORG_DEPTH_MAX + 1))
    assert TERMS.confirmations >= REORG_DEPTH_MAX
    assert TERMS.seed_offset > REORG_DEPTH_MAX
