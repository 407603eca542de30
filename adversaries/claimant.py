"""A supplier's operator that claims what it may not: every wrong kind of claim.

The contract takes or refuses each claim of a batch by itself and says why. They are made by hand
against the real contracts; no relay stands behind any of them.
"""

import asyncio
from dataclasses import dataclass, replace

from adversaries.cheat import Cheat, Finding, Line
from adversaries.scene import Scene, wait_block
from contracts import ClaimInput, ClaimRefused, ContractError, Market, SessionState, TxSender
from relay_mining import Address, TrieRoot, compute_value, keccak, minimum_bond

DEADLINE_S = 150.0
STRANGER = keccak(b"a payer who delegated nothing")[:20]
DEARER = keccak(b"a dearer service")
TRIES_MAX = 3
NOT_SERVED = "Sessions_SessionInvalid|Sessions_NotMember"
"""A draw of another session may hit the same seat, or not."""


@dataclass(frozen=True, slots=True)
class BadClaim:
    """One claim that must be refused."""

    cheat: Cheat
    claim: ClaimInput


def bad_claims(
    state: SessionState, supplier: Address, victim: Address, stake: int
) -> tuple[BadClaim, ...]:
    """Every wrong claim for a session that `supplier` and `victim` are members of.

    `stake` is the supplier's, in token base units.
    """
    seat, other = state.member(supplier), state.member(victim)
    if seat is None or other is None:
        raise ValueError("both suppliers must be members of the session")
    terms = state.terms(seat)
    value = compute_value(terms.slice_units, terms.price)
    root = TrieRoot(keccak(b"nothing stands behind this"), terms.slice_units, 1)
    bond = minimum_bond(value, state.params.bond_ratio_max)
    good = ClaimInput(state.key, supplier, root, bond, seat)
    key = state.key
    return (
        _bad(
            "more than the slice", "claims twice what the session allows a member",
            "Claims_OverSlice",
            replace(good, root=replace(root, sum=2 * root.sum), bond=value),
        ),
        _bad(
            "value above what the bond secures", "claims a full slice on the least bond less one",
            "Claims_BondTooLow", replace(good, bond=bond - 1),
        ),
        _bad(
            "bond it does not have", "pledges more stake than it has", "Registry_StakeTooLow",
            replace(good, bond=stake + 1),
        ),
        _bad(
            "more leaves than weight", "claims more leaves than units", "Claims_SumOutOfRange",
            replace(good, root=replace(root, count=root.sum + 1)),
        ),
        _bad(
            "another payer", "claims against an application that delegated nothing",
            NOT_SERVED, replace(good, session=replace(key, application=STRANGER)),
        ),
        _bad(
            "dearer service", "claims the session under another service",
            NOT_SERVED, replace(good, session=replace(key, service=DEARER)),
        ),
        _bad(
            "past session", "claims the session before", "Claims_WindowClosed",
            replace(good, session=replace(key, number=key.number - 1)),
        ),
        _bad(
            "session that is not over", "claims the running session", "Claims_WindowClosed",
            replace(good, session=replace(key, number=key.number + 1)),
        ),
        _bad(
            "another's seat", "claims with the draw of another member", "Sessions_NotMember",
            replace(good, member=other),
        ),
        _bad(
            "another's name", "claims for another supplier, whose bond would be at risk",
            "Registry_NotAuthorized", replace(good, supplier=victim, member=other),
        ),
    )  # fmt: skip


TWICE = Cheat(
    name="one session twice",
    side="supplier",
    does="claims a session again that is claimed already",
    line=Line.CONTRACT,
    check="Claims_AlreadyClaimed",
)


def _bad(name: str, does: str, check: str, claim: ClaimInput) -> BadClaim:
    return BadClaim(Cheat(name, "supplier", does, Line.CONTRACT, check), claim)


async def submit(market: Market, sender: TxSender, claims: tuple[BadClaim, ...]) -> list[Finding]:
    """Send them, those of one supplier and session number in one transaction.

    Returns what the contract said to each, in the order of their transactions.
    """
    batches: dict[tuple[Address, int], list[BadClaim]] = {}
    for bad in claims:
        batches.setdefault((bad.claim.supplier, bad.claim.session.number), []).append(bad)
    return [found for batch in batches.values() for found in await _submit(market, sender, batch)]


async def _submit(market: Market, sender: TxSender, batch: list[BadClaim]) -> list[Finding]:
    met = dict.fromkeys(range(len(batch)), "nobody")
    try:
        receipt = await sender.send(market.claims.submit([each.claim for each in batch]))
    except ContractError as error:  # all of them
        met = dict.fromkeys(met, f"contract: {error.name}")
    else:
        for outcome in market.claims.outcomes(receipt):
            if isinstance(outcome, ClaimRefused):
                met[outcome.index] = f"contract: {outcome.error.name}"
    return [
        Finding(bad.cheat, met[index], after="at once", cost="none")
        for index, bad in enumerate(batch)
    ]


async def run(scene: Scene) -> list[Finding]:
    """Claim a served session in every wrong way, then wait until it is claimed and claim again."""
    thief, victim = scene.suppliers[:2]
    async with asyncio.timeout(DEADLINE_S), await Market.connect([scene.rpc], scene.book) as market:
        sender = TxSender(market.chain, scene.operator_key)
        state = await _seated(market, scene, thief, victim)
        stake = (await market.registry.supplier(thief)).stake
        claims = bad_claims(state, thief, victim, stake)
        found = await submit(market, sender, claims)
        clock = await market.sessions.clock()
        await wait_block(market, clock.claim_window(state.key.number).closes - 3)
        again = replace(claims[0].claim, bond=stake)
        found += await submit(market, sender, (BadClaim(TWICE, again),))
    return found


async def _seated(market: Market, scene: Scene, thief: Address, victim: Address) -> SessionState:
    """The session just ended, as soon as one ends that both were members of."""
    clock = await market.sessions.clock()
    number = clock.session_at((await market.chain.head()).number)
    for ended in range(number, number + TRIES_MAX):
        height = await wait_block(market, clock.start(ended + 1))
        state = await market.sessions.session(scene.session(ended), height)
        if state.is_valid and state.member(thief) and state.member(victim):
            return state
    raise LookupError("the two suppliers were never members of one session")
