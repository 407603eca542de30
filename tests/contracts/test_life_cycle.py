"""From a listing to money in hand, and every way in which a claim can end otherwise."""

import asyncio
from dataclasses import replace

import pytest

from contracts import (
    BATCH_MAX,
    NOBODY,
    AlreadyDoneError,
    ClaimAccepted,
    ClaimInput,
    ClaimPaid,
    ClaimRefused,
    ClaimVoided,
    ContractError,
    InvalidCallError,
    SettleRefused,
    TooEarlyError,
    TooLateError,
    UnauthorizedError,
)
from contracts.deployment import HISTORY
from contracts.pending import GAS_MAX
from relay_mining import TrieRoot, points_required, verify_proof
from tests.contracts.anvil import KEYS
from tests.contracts.world import (
    APPLICATION,
    CAP,
    DEPLOYER,
    FEE_BPS,
    GATEWAY,
    GATEWAY_SIGNER,
    OPERATOR,
    OTHER,
    OWNER,
    PARAMS,
    PRICE,
    RIVAL,
    SERVED,
    SERVICE,
    SERVICE_ID,
    STAKE,
    SUPPLIER,
    World,
    address,
    claim,
    serve,
)

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]


async def test_what_was_listed_is_read_back(world: World) -> None:
    registry = world.market.registry
    assert await registry.services() == {SERVICE_ID: SERVICE}
    assert await registry.service(SERVICE_ID) == SERVICE
    assert {each.supplier for each in await registry.suppliers(SERVICE_ID)} == {SUPPLIER, RIVAL}
    account = await registry.supplier(SUPPLIER)
    assert (account.owner, account.stake, account.reserved) == (address(OWNER), STAKE, 0)
    assert await registry.gateway_key(address(GATEWAY), 0) is None
    assert await registry.gateway_key(address(GATEWAY), 1) == GATEWAY_SIGNER.address
    assert await registry.operator(SUPPLIER, 1) == address(OPERATOR)
    assert await registry.operator(NOBODY, 1) is None
    assert await world.market.parameters.values(0) == PARAMS
    with pytest.raises(InvalidCallError, match="Registry_ServiceUnknown"):
        await registry.service(bytes(32))


async def test_a_session_is_the_same_here_and_on_the_chain(world: World) -> None:
    before = await world.state()
    assert not before.is_valid
    assert before.seed is None
    assert not before.members
    world.go_to(SERVED, 1)
    state = await world.state()
    assert state.is_valid
    assert (state.cap, state.fee_bps) == (CAP, FEE_BPS)
    slices = {state.terms(each).slice_amount for each in state.members}
    assert slices == {CAP // PARAMS.members}
    assert state.gateway_signer == GATEWAY_SIGNER.address
    assert {state.roster[each.index].supplier for each in state.members} == {SUPPLIER, RIVAL}
    for member in state.members:
        supplier = state.roster[member.index].supplier
        assert await world.market.sessions.verify_member(state.key, supplier, member) == PRICE
        terms = await world.market.sessions.terms(state.key, supplier, member)
        assert terms == state.terms(member)
    member = state.member(SUPPLIER)
    assert member is not None
    with pytest.raises(InvalidCallError, match="Sessions_NotMember"):
        await world.market.sessions.verify_member(state.key, RIVAL, member)
    assert (await world.market.sessions.session(state.key, before.block)) == before


async def test_served_claimed_proved_paid_and_collected(world: World) -> None:
    market, held = world.market, await world.locked()
    world.go_to(SERVED, 1)
    member = (await world.state()).member(SUPPLIER)
    assert member is not None
    served = serve(world.domain, world.key(), tau=(await world.state()).terms(member).tau)
    world.go_to(SERVED + 1)
    claimed = await claim(world, served)
    assert claimed.value == served.trie.root.sum
    assert await market.claims.is_open(claimed)
    assert (await market.registry.supplier(SUPPLIER)).reserved == claimed.bond
    assert (await market.claims.challenge(claimed)).seed is None
    with pytest.raises(TooLateError, match="Claims_ProofWindowClosed"):
        await world.send(OTHER, market.claims.prove(claimed, served.salt, ()))

    world.go_to_proofs()
    challenge = await market.claims.challenge(claimed)
    assert challenge.seed is not None
    assert challenge.points == points_required(
        claimed.value, claimed.bond, PARAMS.margin_bps, challenge.seed
    )
    leaves = served.prove(challenge.seed, challenge.points)
    verify_proof(
        claimed,
        world.domain,
        GATEWAY_SIGNER.address,
        served.salt,
        challenge.points,
        challenge.seed,
        leaves,
    )
    receipt = await world.send(OTHER, market.claims.prove(claimed, served.salt, leaves))
    (paid,) = market.claims.outcomes(receipt)
    assert isinstance(paid, ClaimPaid)
    shares = (paid.supplier_share, paid.source_share, paid.gateway_share, paid.protocol_share)
    assert sum(shares) == claimed.value
    assert shares[1:] == tuple(claimed.value * bps // 10_000 for bps in (1_000, FEE_BPS, 100))
    assert not await market.claims.is_open(claimed)
    assert (await market.registry.supplier(SUPPLIER)).reserved == 0
    assert await world.locked() == held

    for payee, share in ((OWNER, shares[0]), (DEPLOYER, shares[1]), (GATEWAY, shares[2])):
        before = await market.token.balance(address(payee))
        await world.send(payee, market.escrow.collect())
        assert await market.token.balance(address(payee)) - before == share
    assert await world.locked() == held - sum(shares[:3])
    with pytest.raises(AlreadyDoneError, match="Claims_ClaimUnknown"):
        await world.send(OTHER, market.claims.prove(claimed, served.salt, leaves))


async def test_a_well_secured_claim_is_paid_without_a_proof(world: World) -> None:
    world.go_to(SERVED, 1)
    served = serve(world.domain, world.key(), relays=3)
    world.go_to(SERVED + 1)
    claimed = await claim(world, served, bond=STAKE)
    early = await world.send(OTHER, world.market.claims.settle([claimed]))
    (refused,) = world.market.claims.outcomes(early)
    assert isinstance(refused, SettleRefused)
    assert isinstance(refused.error, TooEarlyError)
    world.go_to_proofs()
    points = (await world.market.claims.challenge(claimed)).points
    receipt = await world.send(OTHER, world.market.claims.settle([claimed]))
    (outcome,) = world.market.claims.outcomes(receipt)
    assert isinstance(outcome, ClaimPaid if points == 0 else SettleRefused)


async def test_a_required_proof_that_is_missing_costs_the_bond(world: World) -> None:
    market = world.market
    world.go_to(SERVED, 1)
    served = serve(world.domain, world.key())
    world.go_to(SERVED + 1)
    before = await market.escrow.account(address(APPLICATION))
    claimed = await claim(world, served)
    world.go_to_proofs()
    early = await world.send(OTHER, market.claims.settle([claimed]))
    (refused,) = market.claims.outcomes(early)
    assert isinstance(refused, SettleRefused)
    assert refused.error.name == "Claims_ProofRequired"
    world.go_to(SERVED + 3)
    receipt = await world.send(OTHER, market.claims.settle([claimed]))
    assert market.claims.outcomes(receipt) == (ClaimVoided(claimed.id, claimed.bond),)
    after = await market.escrow.account(address(APPLICATION))
    assert after.balance - before.balance == claimed.bond
    account = await market.registry.supplier(SUPPLIER)
    assert (account.stake, account.reserved) == (STAKE - claimed.bond, 0)


async def test_a_seed_that_nobody_wrote_in_time_voids_the_claim(world: World) -> None:
    world.go_to(SERVED, 1)
    served = serve(world.domain, world.key(), relays=3)
    world.go_to(SERVED + 1)
    claimed = await claim(world, served, bond=STAKE)
    world.go_to(SERVED + 3)
    assert await world.market.sessions.seed(SERVED + 2) is not None
    # 8191 blocks later in no time: the history's slot of the block holds another one by then.
    slot = world.clock.seed_block(SERVED + 2) % 8191
    world.anvil.rpc("anvil_setStorageAt", "0x" + HISTORY.hex(), hex(slot), "0x" + "00" * 32)
    assert await world.market.sessions.seed(SERVED + 2) is None
    receipt = await world.send(OTHER, world.market.claims.settle([claimed]))
    (outcome,) = world.market.claims.outcomes(receipt)
    assert outcome == ClaimVoided(claimed.id, STAKE)


async def test_each_claim_of_a_batch_stands_by_itself(world: World) -> None:
    world.go_to(SERVED, 1)
    served = serve(world.domain, world.key())
    state = await world.state()
    member, other = state.member(SUPPLIER), state.member(RIVAL)
    assert member is not None
    assert other is not None
    root = served.trie.root
    next_key = replace(state.key, number=SERVED + 1)
    good = ClaimInput(state.key, SUPPLIER, root, STAKE // 2, member)
    batch = [
        replace(good, root=TrieRoot(root.digest, 0, 0)),
        replace(good, root=TrieRoot(root.digest, 2**63, 1)),
        replace(good, root=TrieRoot(root.digest, 1, 2)),
        replace(good, root=TrieRoot(root.digest, state.terms(member).slice_amount + 1, 1)),
        replace(good, bond=-(-root.sum // PARAMS.bond_ratio_max) - 1),
        replace(good, bond=STAKE + 1),
        replace(good, member=other),
        good,
        good,
    ]
    world.go_to(SERVED + 1)
    receipt = await world.send(OPERATOR, world.market.claims.submit(batch))
    outcomes = world.market.claims.outcomes(receipt)
    names = [each.error.name if isinstance(each, ClaimRefused) else "" for each in outcomes]
    assert names == [
        "Claims_SumOutOfRange",
        "Claims_SumOutOfRange",
        "Claims_SumOutOfRange",
        "Claims_OverSlice",
        "Claims_BondTooLow",
        "Registry_StakeTooLow",
        "Sessions_NotMember",
        "",
        "Claims_AlreadyClaimed",
    ]
    indices = [each.index for each in outcomes if isinstance(each, ClaimRefused)]
    assert indices == [0, 1, 2, 3, 4, 5, 6, 8]
    assert isinstance(outcomes[7], ClaimAccepted)
    claims = world.market.claims
    for strays in ([good, replace(good, supplier=RIVAL)], [good, replace(good, session=next_key)]):
        with pytest.raises(ValueError, match="several"):
            claims.submit(strays)
    with pytest.raises(UnauthorizedError, match="Registry_NotAuthorized"):
        await world.send(OPERATOR, claims.submit([replace(good, supplier=RIVAL, member=other)]))
    with pytest.raises(TooLateError, match="Claims_WindowClosed"):
        await world.send(OPERATOR, claims.submit([replace(good, session=next_key)]))


async def test_a_batch_has_gas_for_every_claim_in_it(world: World) -> None:
    """Nothing is refused for want of gas, so the estimate is what the whole batch takes."""
    world.go_to(SERVED, 1)
    served = serve(world.domain, world.key())
    member = (await world.state()).member(SUPPLIER)
    assert member is not None
    world.go_to(SERVED + 1)
    claims = world.market.claims
    bad = ClaimInput(world.key(), SUPPLIER, served.trie.root, 0, member)
    for batch in ([], [bad] * (BATCH_MAX + 1)):
        with pytest.raises(ValueError, match="claims at once"):
            claims.submit(batch)
    call = claims.submit([*[bad] * (BATCH_MAX - 1), replace(bad, bond=STAKE)])
    receipt = await world.send(OPERATOR, call)
    *refused, accepted = claims.outcomes(receipt)
    names = {each.error.name for each in refused if isinstance(each, ClaimRefused)}
    assert names == {"Claims_BondTooLow"}
    assert isinstance(accepted, ClaimAccepted)
    assert receipt.gas_used <= GAS_MAX
    world.go_to(SERVED + 3)
    call = claims.settle([accepted.claim] * BATCH_MAX)
    outcomes = claims.outcomes(await world.send(OTHER, call))
    assert isinstance(outcomes[0], ClaimPaid | ClaimVoided)
    names = {each.error.name for each in outcomes[1:] if isinstance(each, SettleRefused)}
    assert names == {"Claims_ClaimUnknown"}


async def test_a_strangers_garbage_proof_changes_nothing(world: World) -> None:
    market = world.market
    world.go_to(SERVED, 1)
    served = serve(world.domain, world.key())
    world.go_to(SERVED + 1)
    claimed = await claim(world, served)
    world.go_to_proofs()
    challenge = await market.claims.challenge(claimed)
    assert challenge.seed is not None
    leaves = served.prove(challenge.seed, challenge.points)
    first = leaves[0]
    garbage = {
        "Proof_WrongLeafCount": leaves[1:],
        "Proof_UnitsOutOfRange": (replace(first, units=0), *leaves[1:]),
        "Proof_MalformedSiblings": (replace(first, siblings=b"\0"), *leaves[1:]),
        "Proof_RootMismatch": (replace(first, siblings=bytes(48)), *leaves[1:]),
        "Proof_BadBatchSignature": (replace(first, batch_signature=bytes(65)), *leaves[1:]),
        "Proof_PathMismatch": (replace(first, batch_path=(bytes(32),) * 17), *leaves[1:]),
    }
    for name, proof in garbage.items():
        with pytest.raises(InvalidCallError) as raised:
            await world.send(OTHER, market.claims.prove(claimed, served.salt, proof))
        assert raised.value.name == name
        assert raised.value.remedy
    with pytest.raises(ContractError):
        await world.send(OTHER, market.claims.prove(claimed, bytes(32), leaves))
    inflated = replace(claimed, value=claimed.value + 1)
    with pytest.raises(AlreadyDoneError, match="Claims_ClaimUnknown"):
        await world.send(OTHER, market.claims.prove(inflated, served.salt, leaves))
    receipt = await world.send(OTHER, market.claims.prove(claimed, served.salt, leaves))
    assert isinstance(market.claims.outcomes(receipt)[0], ClaimPaid)


async def test_a_refusal_found_only_in_the_block_is_named(world: World) -> None:
    """Both pass when they are tried; the second is refused when they are mined."""
    world.anvil.rpc("evm_setAutomine", False)
    call = world.market.registry.register_gateway(address(OTHER), "http://other")
    sender = world.senders[OTHER]
    tasks = [asyncio.create_task(sender.send(call)) for _ in range(2)]
    async with asyncio.timeout(20):
        while not all(each.done() for each in tasks):
            waiting = world.anvil.rpc("txpool_status")
            if int(waiting["pending"], 16) == 2 or any(each.done() for each in tasks):
                world.anvil.mine()
            await asyncio.sleep(0.01)
    assert tasks[0].result().is_success
    with pytest.raises(AlreadyDoneError, match="Registry_GatewayExists"):
        tasks[1].result()


async def test_only_the_owner_may_take_the_stake(world: World) -> None:
    for key in set(KEYS) - {OWNER}:
        with pytest.raises(UnauthorizedError) as raised:
            await world.send(key, world.market.registry.request_unstake(SUPPLIER, 1))
        assert raised.value.values["caller"] == address(key)
