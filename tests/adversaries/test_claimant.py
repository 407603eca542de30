"""Every wrong kind of claim, and a stranger's proofs, against the real contracts."""

from dataclasses import replace

import pytest

from adversaries.claimant import TWICE, BadClaim, bad_claims, submit
from adversaries.stranger import Stranger
from contracts import ClaimPaid
from relay_mining import Claim
from tests.contracts.conftest import running_world, world
from tests.contracts.world import (
    OPERATOR,
    OTHER,
    RIVAL,
    SERVED,
    STAKE,
    SUPPLIER,
    Served,
    World,
    claim,
    serve,
)

__all__ = ["running_world", "world"]

pytestmark = [pytest.mark.anyio, pytest.mark.anvil]


async def test_each_wrong_claim_is_refused_for_its_own_reason(world: World) -> None:
    world.go_to(SERVED + 1, 1)
    claims = bad_claims(await world.state(), SUPPLIER, RIVAL, STAKE)

    found = await submit(world.market, world.senders[OPERATOR], claims)

    assert {each.cheat for each in found} == {each.cheat for each in claims}
    assert [each for each in found if not each.is_as_promised] == []
    account = await world.market.registry.supplier(SUPPLIER)
    assert (account.stake, account.reserved) == (STAKE, 0)


async def test_a_good_claim_made_by_hand_is_taken_so_the_refusals_mean_something(
    world: World,
) -> None:
    world.go_to(SERVED + 1, 1)
    bad = bad_claims(await world.state(), SUPPLIER, RIVAL, STAKE)
    good = BadClaim(TWICE, replace(bad[1].claim, bond=bad[1].claim.bond + 1))

    first, second = [
        (await submit(world.market, world.senders[OPERATOR], (good,)))[0] for _ in range(2)
    ]

    assert first.met == "nobody"
    assert second.met == "contract: Claims_AlreadyClaimed"


async def claimed(world: World) -> tuple[Served, Claim]:
    """An honest claim that awaits its proof."""
    world.go_to(SERVED + 1, 1)
    served = serve(world.domain, world.key())
    made = await claim(world, served)
    world.go_to_proofs()
    return served, made


async def test_a_strangers_proofs_change_nothing_and_the_owner_is_paid(world: World) -> None:
    served, made = await claimed(world)
    stranger = Stranger(world.market, OTHER)
    stranger.sender = world.senders[OTHER]

    garbage, dearer = await stranger.garbage(), await stranger.dearer()

    assert garbage.is_as_promised, garbage
    assert dearer.is_as_promised, dearer
    challenge = await world.market.claims.challenge(made)
    assert challenge.seed is not None
    proof = served.prove(challenge.seed, challenge.points)
    call = world.market.claims.prove(made, served.salt, proof)
    (paid,) = world.market.claims.outcomes(await world.send(OPERATOR, call))
    assert isinstance(paid, ClaimPaid)

    again = await stranger.again(call.data)
    assert again.is_as_promised, again
