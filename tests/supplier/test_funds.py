"""`supplier funds`: every balance, until when, and what frees it, on a real chain."""

from typing import Any

import pytest

from tests.contracts.world import SERVED, STAKE, World
from tests.supplier.operating import Operating

L_BLOCKS = 60

pytestmark = pytest.mark.anvil


def holdings(operator: Operating) -> dict[str, dict[str, Any]]:
    return {each["where"]: each for each in operator.cli.run("funds")["holdings"]}


def test_what_is_receipted_is_shown_with_the_block_at_which_it_is_lost(operator: Operating) -> None:
    operator.serve_session()

    found = holdings(operator)

    receipts = found[f"receipts of session {SERVED}"]
    assert 0 < receipts["amount"] < 1_000_000  # others' shares are off
    assert "else lost" in receipts["until"]
    assert found["stake, free"]["amount"] == STAKE
    assert "enough for" in found["gas of the operator"]["until"]


def test_a_claim_takes_the_place_of_its_receipts_and_holds_a_bond(operator: Operating) -> None:
    claim = operator.claim_session()

    found = holdings(operator)

    assert f"receipts of session {SERVED}" not in found
    assert found[f"bond of session {SERVED}"]["amount"] == claim.bond
    assert 0 < found[f"claim of session {SERVED}"]["amount"] < claim.value
    assert found["stake, free"]["amount"] == STAKE - claim.bond
    assert "paid from block" in found[f"claim of session {SERVED}"]["until"]


@pytest.mark.parametrize(("offset", "says"), [(4, "else bond and claim go"), (60, "due")])
def test_a_claim_says_what_the_running_window_asks(
    operator: Operating, offset: int, says: str
) -> None:
    operator.claim_session()

    async def later(world: World) -> None:
        world.go_to(SERVED + 2, offset)

    operator.act(later)

    assert says in holdings(operator)[f"bond of session {SERVED}"]["until"]


def test_bonds_of_claims_from_long_ago_are_not_forgotten(operator: Operating) -> None:
    claim = operator.claim_session()
    operator.market.anvil.mine(8 * L_BLOCKS)

    assert holdings(operator)["bonds of older claims"]["amount"] == claim.bond


def test_receipts_that_were_never_claimed_are_no_money_any_more(operator: Operating) -> None:
    operator.serve_session()
    operator.market.anvil.mine(3 * L_BLOCKS)

    assert f"receipts of session {SERVED}" not in holdings(operator)


def test_leaving_stake_names_its_session(operator: Operating) -> None:
    leaving = operator.cli.run("unstake", 1_000_000)

    found = holdings(operator)["stake, leaving"]

    assert found["amount"] == 1_000_000
    assert f"session {leaving['from_session']}, block" in found["until"]
