"""The schedule of a run: seeded, complete, and within what the market is built to stand."""

from collections import Counter

from localnet.chaos import TERMS
from localnet.faults import (
    CHAIN_FAULTS,
    KILLS,
    PARTITIONS,
    REORG_DEPTH_MAX,
    SERVER_KILLS,
    Cast,
    Injection,
    Kind,
    plan_injections,
    stretch,
)

ALONE = Cast(3)
OF_SERVERS = {*SERVER_KILLS, Kind.KILL_DATABASE, *PARTITIONS}


def a_plan(seed: int = 1, cast: Cast = ALONE, partitions: int = 0) -> list[Injection]:
    return plan_injections(
        seed, cast, kills=200, faults=50, stalls=20, skews=10, partitions=partitions, gap_s=3.0
    )


def test_the_same_seed_gives_the_same_schedule_and_another_gives_another() -> None:
    assert a_plan(1) == a_plan(1)
    assert a_plan(1) != a_plan(2)


def test_everything_asked_for_is_in_it_and_every_kind_of_it() -> None:
    counts = Counter(each.kind for each in a_plan())

    assert sum(counts[kind] for kind in KILLS) == 200
    assert sum(counts[kind] for kind in CHAIN_FAULTS) == 50
    assert counts[Kind.STALL] == 20
    assert counts[Kind.SKEW] == 10
    assert counts.keys() == set(Kind) - OF_SERVERS


def test_with_relay_servers_they_the_database_and_the_ways_to_both_are_hit_too() -> None:
    plan = a_plan(cast=Cast(2, servers=2), partitions=40)
    counts = Counter(each.kind for each in plan)

    assert sum(counts[kind] for kind in KILLS) == 200
    assert sum(counts[kind] for kind in PARTITIONS) == 40
    assert counts.keys() == set(Kind)
    assert {each.victim for each in plan if each.kind is Kind.KILL_SERVER} == {0, 1}
    assert {each.victim for each in plan if each.kind is Kind.CUT_DATABASE} == {0, 1, 2}
    assert {each.victim for each in plan if each.kind is Kind.CUT_SERVER} == {0, 1}
    assert {each.victim for each in plan if each.kind is Kind.KILL_ENGINE} == {0, 1, 2, 3}


def test_a_schedule_is_spread_over_as_long_as_it_is_to_last() -> None:
    plan = a_plan()
    longer = stretch(plan, 1800.0)

    assert round(sum(each.after_s for each in longer), 6) == 1800.0
    assert [each.kind for each in longer] == [each.kind for each in plan]


def test_every_node_is_hit() -> None:
    kills = {each.victim for each in a_plan() if each.kind is Kind.KILL_SUPPLIER}
    stalls = {each.victim for each in a_plan() if each.kind is Kind.STALL}

    assert kills == {0, 1, 2}
    assert stalls == {0, 1, 2, 3}


def test_reorganisations_stay_within_the_confirmations_and_before_the_seed() -> None:
    assert {each.depth for each in a_plan()} == set(range(1, REORG_DEPTH_MAX + 1))
    assert TERMS.confirmations >= REORG_DEPTH_MAX
    assert TERMS.seed_offset > REORG_DEPTH_MAX
