"""`supplier explain`: the gate at which traffic stops, on a real chain and as a table."""

from dataclasses import replace
from typing import Any

import pytest

from relay_mining import RosterEntry
from supplier.config_file import set_value
from supplier.operation.funnel import (
    REMEDIES,
    SessionFunnel,
    Standing,
    estimate_membership,
    find_stop,
    rank,
    weight_share,
)
from tests.contracts.world import OPERATOR, SERVED, SERVICE_ID, SUPPLIER, World
from tests.factories import an_address
from tests.supplier.operating import Operating

GOOD = Standing(5, 1, 2, 0.5, 1.0, is_registered=True, is_staked=True, is_listed=True)
PAID = SessionFunnel(
    number=7, age=3, is_in_roster=True, delegated=2, drawn=1, opened=1, relays=9, served=90,
    receipted=80, payable=85, claimed=85, proved=85, paid=80,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "stop"),
    [
        ({}, ""),
        ({"is_in_roster": False}, "in roster"),
        ({"delegated": 0}, "delegated"),
        ({"drawn": 0}, "in session"),
        ({"drawn": None}, ""),  # nobody wrote the seed: not known, so not judged
        ({"opened": 0}, "chosen"),
        ({"served": 0}, "served"),
        ({"receipted": 0}, "receipted"),
        ({"payable": 0}, "payable"),
        ({"claimed": 0}, "claimed"),
        ({"proved": 0}, "proved"),
        ({"paid": 0}, "paid"),
        ({"paid": 0, "age": 2}, ""),  # not due yet
        ({"claimed": 0, "age": 1}, ""),
        ({"opened": 0, "age": 0}, ""),
        ({"drawn": 0, "age": 0}, "in session"),
    ],
)
def test_the_first_gate_that_was_due_and_nothing_passed(change: dict[str, Any], stop: str) -> None:
    assert replace(PAID, **change).stop == stop
    assert stop in ("", *REMEDIES)


def test_the_newest_sessions_that_are_over_decide() -> None:
    running = replace(PAID, age=0, opened=0, relays=0, served=0, receipted=0)
    missed = replace(PAID, age=1, drawn=0)
    alone = replace(PAID, age=2, opened=0)

    assert find_stop(GOOD, []) == ""
    assert find_stop(GOOD, [running, PAID]) == ""
    assert find_stop(GOOD, [running, missed, PAID]) == ""  # not drawn once is chance
    assert find_stop(GOOD, [running, missed, alone, PAID]) == "chosen"
    assert find_stop(replace(GOOD, is_listed=False), [PAID]) == "listed"
    assert find_stop(replace(GOOD, is_staked=False, is_listed=False), [PAID]) == "staked"


def test_rank_and_share_of_a_roster() -> None:
    a, b, c = (an_address(each) for each in "abc")
    roster = (RosterEntry(a, 5, 1), RosterEntry(b, 5, 1), RosterEntry(c, 4, 2))

    assert [rank(roster, each) for each in (a, b, c, an_address("d"))] == [2, 2, 1, 0]
    assert [weight_share(roster, each) for each in (a, c)] == [0.25, 0.5]
    assert weight_share((), a) == estimate_membership((), a, 3) == 0.0
    assert estimate_membership(roster, a, 3) == 1.0  # as many seats as suppliers
    assert estimate_membership(roster, c, 1) == pytest.approx(0.5, abs=0.08)
    assert estimate_membership(roster, a, 1) == pytest.approx(0.25, abs=0.07)


def explained(operator: Operating) -> dict[str, Any]:
    (found,) = operator.cli.run("explain", "--sessions", 4)["services"]
    return dict(found)


@pytest.mark.anvil
def test_a_claim_is_followed_from_the_roster_to_the_chain(operator: Operating) -> None:
    claim = operator.claim_session()

    found = explained(operator)

    assert found["standing"]["rank"] == 1
    assert found["standing"]["member_share"] == 1.0  # two suppliers, three seats
    by_number = {each["number"]: each for each in found["sessions"]}
    served = by_number[SERVED]
    assert (served["delegated"], served["drawn"], served["opened"]) == (1, 1, 1)
    assert served["receipted"] > 0
    assert (served["claimed"], served["proved"], served["paid"]) == (claim.value, 0, 0)
    assert by_number[1]["stop"] == "in roster"  # rosters count from epoch 1 on
    assert found["stop"] == ""  # the claim is on its way
    (gateway,) = operator.cli.run("explain")["gateways"]
    assert (gateway["url"], gateway["standing"]) == ("http://gateway", "")
    assert "does not answer" in gateway["error"]


@pytest.mark.anvil
def test_a_market_without_demand_says_so(operator: Operating) -> None:
    async def wait(world: World) -> None:
        world.go_to(SERVED + 2)

    operator.act(wait)
    found = explained(operator)
    assert found["stop"] == "chosen"  # members of a delegation no gateway uses
    assert "advertised URL" in found["remedy"]

    async def unlist(world: World) -> None:
        await world.send(OPERATOR, world.market.registry.remove_listing(SUPPLIER, SERVICE_ID))

    operator.act(unlist)
    assert explained(operator)["stop"] == "listed"
    operator.cli.run("unstake", 49_500_000)
    assert explained(operator)["stop"] == "staked"
    set_value(operator.config, "services", [])
    assert "supplier list" in operator.cli.refuse("explain")
