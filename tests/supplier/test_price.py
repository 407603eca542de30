"""What a price would have earned: shares of members, sales by epoch, and the best that was."""

from fractions import Fraction
from random import Random

import pytest

from gateway.routing.balancer import Candidate, power_of_two
from node.errors import OperatorError
from relay_mining import UNITS_PER_PRICE, RosterEntry
from supplier.operation.past_sales import (
    Costs,
    PastSession,
    Sales,
    share_at,
    simulate,
    simulate_by_epoch,
    suggest,
)
from supplier.operation.past_sessions import span_of
from tests.factories import CLOCK, an_address

ME = an_address("me")
FREE = Costs()


def members(*prices: int, mine: int = 1_000) -> tuple[RosterEntry, ...]:
    """This supplier and one rival at each of the prices."""
    rivals = (RosterEntry(an_address(i), price, 1) for i, price in enumerate(prices))
    return (RosterEntry(ME, mine, 1), *rivals)


def test_the_shares_of_all_members_add_up_to_everything() -> None:
    rng = Random(1)
    for _ in range(200):
        drawn = members(*(rng.randint(1, 5) for _ in range(rng.randint(0, 6))), mine=3)
        shares = [share_at(drawn, each.supplier, each.unit_price) for each in drawn]
        assert sum(shares) == 1
        assert all(share >= 0 for share in shares)


@pytest.mark.parametrize("mine", [90, 100, 150, 200, 300])
def test_a_share_is_what_the_gateways_own_policy_gives_while_it_is_idle(mine: int) -> None:
    drawn = members(100, 200, 200, mine=mine)
    candidates = [Candidate(i, 0, True, each.unit_price) for i, each in enumerate(drawn)]
    choose = power_of_two(Random(7))
    trials = 20_000
    won = sum(choose(candidates).index == 0 for _ in range(trials))
    share = float(share_at(drawn, ME, mine))
    # five standard errors of a share of so many trials
    assert abs(won / trials - share) <= 5 * (0.25 / trials) ** 0.5


def test_sales_are_those_of_the_sessions_the_supplier_was_drawn_for() -> None:
    units = 6 * UNITS_PER_PRICE
    sessions = [
        PastSession(3, members(100, 300), units),
        PastSession(3, members(100, 300)[1:], units),  # drawn without it
        PastSession(4, members(), units),
    ]
    found = simulate_by_epoch(sessions, ME, 200, Costs(unit_cost=50, shares_bps=1_000))
    # a third of the first session's relays: cheaper than one of two rivals, of three pairs
    assert found[3] == Sales(200, 1, units // 3, 400, 400 - 40 - 100)
    assert found[4] == Sales(200, 1, units, 1_200, 1_200 - 120 - 300)
    assert simulate(sessions, ME, 200, FREE).gross == 1_600


def test_what_is_suggested_is_the_best_of_all_prices_up_to_the_dearest_ask() -> None:
    rng = Random(2)
    for _ in range(60):
        sessions = [
            PastSession(
                0, members(*(rng.randint(5, 30) for _ in range(rng.randint(1, 3)))),
                rng.randint(0, 9) * UNITS_PER_PRICE,
            )
            for _ in range(rng.randint(1, 4))
        ]  # fmt: skip
        dearest = max(e.unit_price for each in sessions for e in each.members)
        costs = Costs(unit_cost=rng.randint(0, 20), shares_bps=rng.choice((0, 700)))
        best = suggest(sessions, ME, costs)[0]
        every = [simulate(sessions, ME, price, costs).net for price in range(1, dearest + 1)]
        assert best.net == max(every)
        assert every.index(best.net) + 1 <= best.price


def test_nothing_is_suggested_from_sessions_of_others() -> None:
    others = PastSession(0, members(7)[1:], 10)
    assert suggest([others], ME, FREE) == ()
    assert simulate([others], ME, 5, FREE) == Sales(5)


def test_a_price_nobody_undercuts_takes_two_pairs_of_three() -> None:
    assert share_at(members(9, 9), ME, 8) == Fraction(2, 3)
    assert share_at(members(9, 9), ME, 9) == Fraction(1, 3)
    assert share_at(members(9, 9), ME, 10) == 0


def test_epochs_are_whole_and_claimed() -> None:
    with pytest.raises(OperatorError, match="no epoch is over"):
        span_of(CLOCK, CLOCK.epoch_sessions, 4)
    span = span_of(CLOCK, 5 * CLOCK.epoch_sessions + 1, 3)
    assert (span.begin, span.end) == (2, 5)
    assert span.first_block == CLOCK.claim_window(2 * CLOCK.epoch_sessions).opens
    assert span.last_block == CLOCK.claim_window(5 * CLOCK.epoch_sessions - 1).closes - 1
