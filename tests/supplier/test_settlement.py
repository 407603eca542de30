"""What a supplier sends at each block of a session's life.

With `CLOCK`, session 7 is served in [184, 196), claimed in [196, 208) and proved in [211, 220).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import BATCH_MAX
from relay_mining import minimum_bond
from supplier.mining.miner import allocate_bonds
from supplier.mining.settlement import (
    BELOW_GAS,
    CLAIM_MISSED,
    NOTHING_PAYABLE,
    Abandon,
    Action,
    BuildRoster,
    Collect,
    OpenSession,
    PlanParams,
    Prove,
    RosterState,
    Settle,
    Stage,
    SubmitClaims,
    WriteSeed,
    last_block,
    plan,
    subjects,
)
from tests.factories import CLOCK, SERVICE, a_session

KEY = a_session(number=7)
PARAMS = PlanParams(claim_delay_blocks=3, value_min=50, claim_patience_blocks=6)
SERVED = OpenSession(KEY, Stage.SERVED, value=100)
OWED = OpenSession(KEY, Stage.SERVED, value=100, is_owed=True)
UNPAID = OpenSession(KEY, Stage.SERVED, value=0, is_owed=True)
SMALL = OpenSession(KEY, Stage.SERVED, value=49)
EMPTY = OpenSession(KEY, Stage.SERVED, value=0)
CLAIMED = OpenSession(KEY, Stage.CLAIMED, value=100)
CHALLENGED = OpenSession(KEY, Stage.CLAIMED, value=100, points=2)
UNCHALLENGED = OpenSession(KEY, Stage.CLAIMED, value=100, points=0)


@pytest.mark.parametrize(
    ("state", "block", "expected"),
    [
        pytest.param(SERVED, 195, [], id="still served"),
        pytest.param(SERVED, 198, [], id="last receipts may come"),
        pytest.param(SERVED, 199, [SubmitClaims((KEY,))], id="claim"),
        pytest.param(OWED, 201, [], id="receipts that are missing are waited for"),
        pytest.param(OWED, 202, [SubmitClaims((KEY,))], id="not for ever"),
        pytest.param(UNPAID, 201, [], id="nothing is given up while receipts may come"),
        pytest.param(UNPAID, 202, [Abandon(KEY, NOTHING_PAYABLE)], id="nothing came"),
        pytest.param(SERVED, 207, [SubmitClaims((KEY,))], id="last block to claim"),
        pytest.param(SERVED, 208, [Abandon(KEY, CLAIM_MISSED)], id="too late to claim"),
        pytest.param(SMALL, 199, [Abandon(KEY, BELOW_GAS)], id="smaller than its gas"),
        pytest.param(EMPTY, 199, [Abandon(KEY, NOTHING_PAYABLE)], id="nothing to claim"),
        pytest.param(CLAIMED, 210, [], id="no challenge yet"),
        pytest.param(CHALLENGED, 210, [], id="proof window not open"),
        pytest.param(CHALLENGED, 211, [Prove(KEY)], id="first block to prove"),
        pytest.param(CHALLENGED, 219, [Prove(KEY)], id="last block to prove"),
        pytest.param(CHALLENGED, 220, [Settle((KEY,))], id="too late to prove"),
        pytest.param(CLAIMED, 220, [Settle((KEY,))], id="a seed that was lost"),
        pytest.param(UNCHALLENGED, 210, [], id="too early to settle"),
        pytest.param(UNCHALLENGED, 211, [Settle((KEY,))], id="paid without proof"),
        pytest.param(UNCHALLENGED, 220, [WriteSeed(9), Settle((KEY,))], id="late: keep the seed"),
    ],
)
def test_plan(state: OpenSession, block: int, expected: list[Action]) -> None:
    assert plan([state], block, CLOCK, PARAMS) == expected


@pytest.mark.parametrize(
    ("action", "last"),
    [(SubmitClaims((KEY,)), 207), (Prove(KEY), 219), (Settle((KEY,)), None), (Collect(1), None),
     (BuildRoster(SERVICE, 3), 159), (Abandon(KEY, CLAIM_MISSED), None)],
)  # fmt: skip
def test_an_action_is_of_use_until_its_window_closes(action: Action, last: int | None) -> None:
    assert last_block(action, CLOCK) == last


def test_a_seed_can_be_kept_while_the_chain_remembers_its_block() -> None:
    assert last_block(WriteSeed(9), CLOCK) == CLOCK.seed_window(9).closes - 1


def test_a_proof_is_started_before_a_claim_that_is_due_at_the_same_block() -> None:
    served = OpenSession(a_session(number=8), Stage.SERVED, value=100)

    actions = plan([served, CHALLENGED], 219, CLOCK, PARAMS)

    assert actions == [Prove(KEY), SubmitClaims((served.key,))]
    assert len({last_block(each, CLOCK) for each in actions}) == 1


def test_only_actions_about_the_same_exclude_each_other() -> None:
    other = a_session(number=7, application=bytes(20))
    about = subjects(SubmitClaims((KEY, other)))

    assert about & subjects(Prove(KEY))
    assert about & subjects(Settle((other,)))
    assert about & subjects(Abandon(other, CLAIM_MISSED))
    assert subjects(Collect(1)) == subjects(Collect(2))
    assert subjects(BuildRoster(SERVICE, 3)) == subjects(BuildRoster(SERVICE, 3))
    for action in (Prove(a_session(number=8)), WriteSeed(7), BuildRoster(SERVICE, 7), Collect(7)):
        assert not about & subjects(action)


def test_sessions_are_claimed_together_the_oldest_first() -> None:
    other = a_session(number=7, application=bytes(20))
    states = [OpenSession(key, Stage.SERVED, 100) for key in (KEY, other)]
    expected = tuple(sorted((KEY, other), key=lambda key: key.id))
    assert plan(states, 199, CLOCK, PARAMS) == [SubmitClaims(expected)]


@pytest.mark.parametrize(
    ("count", "batches"), [(BATCH_MAX, [BATCH_MAX]), (BATCH_MAX + 1, [BATCH_MAX, 1])]
)
def test_a_transaction_takes_a_bounded_batch(count: int, batches: list[int]) -> None:
    keys = [a_session(number=7, application=bytes(19) + bytes([each])) for each in range(count)]
    actions = plan([OpenSession(key, Stage.SERVED, 100) for key in keys], 199, CLOCK, PARAMS)

    assert [len(each.sessions) for each in actions if isinstance(each, SubmitClaims)] == batches


@pytest.mark.parametrize(
    ("block", "is_built", "expected"),
    [(147, False, 0), (153, False, 0), (154, False, 1), (159, False, 1), (160, False, 0),
     (154, True, 0)],
)  # fmt: skip
def test_the_next_roster_is_built_in_the_later_half_of_its_window(
    block: int, is_built: bool, expected: int
) -> None:
    params = PlanParams(3, 50, rosters=(RosterState(SERVICE, 3, is_built),))
    assert plan([], block, CLOCK, params) == [BuildRoster(SERVICE, 3)] * expected


@pytest.mark.parametrize(("claimable", "least", "sent"), [(9, 10, 0), (10, 10, 1), (10, 0, 0)])
def test_what_was_earned_is_collected(claimable: int, least: int, sent: int) -> None:
    params = PlanParams(3, 50, claimable=claimable, collect_min=least)
    assert plan([], 150, CLOCK, params) == [Collect(claimable)] * sent


@given(
    values=st.lists(st.integers(1, 2**96 - 1), max_size=8),
    ratio=st.integers(1, 100),
    free=st.integers(0, 2**97),
    percent=st.integers(1, 1000),
)
def test_bonds_are_enough_and_never_more_than_the_free_stake(
    values: list[int], ratio: int, free: int, percent: int
) -> None:
    bonds = allocate_bonds(values, ratio, free, percent)
    assert sum(bond for bond in bonds if bond is not None) <= free
    for value, bond in zip(values, bonds, strict=True):
        assert bond is None or bond >= minimum_bond(value, ratio)


def test_a_patience_below_the_delay_shortens_no_wait() -> None:
    assert plan([OWED], 198, CLOCK, PlanParams(3, 50)) == []
    assert plan([OWED], 199, CLOCK, PlanParams(3, 50)) == [SubmitClaims((KEY,))]


def test_a_single_claim_gets_the_bond_it_wants_where_stake_allows() -> None:
    assert allocate_bonds([100], 10, 1000, 100) == [100]
    assert allocate_bonds([100], 10, 100, 100) == [50]
    assert allocate_bonds([100], 10, 10, 100) == [10]
    assert allocate_bonds([100], 10, 9, 100) == [None]
