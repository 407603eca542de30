"""Every balance of a gateway and its application: where it is, until when, and what frees it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from contracts import BlockTime, EscrowAccount, Market, PastClaim, read_block_time, read_claims
from node.holding import TOKEN, WEI, Holding
from relay_mining import Address, Clock, Hash32

CLAIM_SESSIONS = 4
"""Sessions back to which a claim may be open that nobody was late to settle."""
STARTS_WITHIN = 2
"""Sessions until a delegation counts as it was set."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A delegation of the application to the gateway."""

    service: Hash32
    name: str
    now: int
    """Token base units in the running session."""
    later: int
    """As it was set last."""


@dataclass(frozen=True, slots=True)
class FundsView:
    """What the chain says of a gateway's money, as of one block; token base units and wei."""

    owner: Address
    application: Address
    wallet: int
    earned: int
    owner_gas: int
    signing_gas: int
    account: EscrowAccount
    cap_sum: int
    """Of all delegations of the application, to other gateways too."""
    caps: tuple[Cap, ...]
    claims: tuple[PastClaim, ...]
    """Claims of the last sessions against the application."""
    clock: Clock
    time: BlockTime

    @property
    def free(self) -> int:
        """Escrow that is neither locked nor asked back."""
        return self.account.balance - self.account.pending

    @property
    def needed(self) -> int:
        """What the next session needs in escrow to be valid: the caps of two."""
        return 2 * self.cap_sum

    @property
    def spent(self) -> int:
        """What the dearest of the last sessions took."""
        values: defaultdict[int, int] = defaultdict(int)
        for each in self.claims:
            values[each.claim.session.number] += each.claim.value
        return max(values.values(), default=0)


async def read_funds_view(market: Market, owner: Address, application: Address) -> FundsView:
    """Everything `describe_funds` shows; raises ChainError."""
    clock, time = await market.sessions.clock(), await read_block_time(market.chain)
    number = clock.session_at(time.head)
    first = clock.start(max(0, number - CLAIM_SESSIONS))
    claims = await read_claims(market.chain, market.book, first, time.head)
    signing = await market.registry.gateway_key(owner, number)
    return FundsView(
        owner=owner,
        application=application,
        wallet=await market.token.balance(owner),
        earned=await market.escrow.claimable(owner),
        owner_gas=await market.chain.balance(owner),
        signing_gas=0 if signing is None else await market.chain.balance(signing),
        account=await market.escrow.account(application),
        cap_sum=(await market.escrow.cap_sum(application))[0],
        caps=await _read_caps(market, owner, application, number),
        claims=tuple(each for each in claims if each.claim.session.application == application),
        clock=clock,
        time=time,
    )


async def _read_caps(
    market: Market, gateway: Address, application: Address, number: int
) -> tuple[Cap, ...]:
    found = []
    for service, listed in (await market.registry.services()).items():
        now, later = [
            (await market.escrow.delegation(application, gateway, service, each)).cap
            for each in (number, number + STARTS_WITHIN)
        ]
        if now or later:
            found.append(Cap(service, listed.name, now, later))
    return tuple(found)


def sessions_left(free: int, needed: int, spent: int) -> int | None:
    """Sessions that stay valid at so much a session, rounded down; None where nothing is spent."""
    if free < needed:
        return 0
    return (free - needed) // spent + 1 if spent else None


def describe_funds(view: FundsView) -> tuple[Holding, ...]:
    """Every balance: the escrow and what it is for first, what is home last."""
    return (*_escrow(view), *_claimed(view), *_home(view))


def _escrow(view: FundsView) -> Iterator[Holding]:
    bound = min(max(view.free, 0), view.needed)
    left = sessions_left(view.free, view.needed, view.spent)
    if view.free < view.needed:
        lacks = view.needed - view.free
        until = f"too little for the next session, which is not valid: gateway fund {lacks}"
    else:
        until = "" if left is None else f"lasts for about {left} sessions like the last ones"
    yield Holding("escrow, covers the caps", bound, TOKEN, until, "gateway delegate SERVICE 0")
    yield Holding("escrow, free", max(view.free - bound, 0), TOKEN, "", "gateway withdraw AMOUNT")
    if view.account.pending:
        opens = view.clock.start(view.account.pending_session)
        until = f"session {view.account.pending_session}, {view.time.describe(opens)}"
        yield Holding("escrow, leaving", view.account.pending, TOKEN, until, "gateway withdraw")
    for cap in view.caps:
        until = "" if cap.now == cap.later else f"{cap.later} from one of the next sessions on"
        frees = f"gateway delegate 0x{cap.service.hex()} CAP"
        yield Holding(f"may be spent a session on {cap.name}", cap.now, TOKEN, until, frees)


def _claimed(view: FundsView) -> Iterator[Holding]:
    """What open claims lock: paid to suppliers once proved, else returned with their bonds."""
    for past in sorted(view.claims, key=lambda each: each.claim.session.number):
        if past.end is not None:
            continue
        claim, window = past.claim, view.clock.proof_window(past.claim.session.number)
        where = f"locked by a claim of session {claim.session.number}"
        if view.time.head < window.closes:
            until = f"paid when proved, until {view.time.describe(window.closes)}"
        else:
            until = "due: its windows are over"
        yield Holding(where, claim.value, TOKEN, until, "gateway serve takes back what is unproved")


def _home(view: FundsView) -> Iterator[Holding]:
    yield Holding("fees earned, to collect", view.earned, TOKEN, "", "gateway withdraw")
    yield Holding("on the owner's address", view.wallet, TOKEN, "", "yours; gateway fund AMOUNT")
    yield Holding("gas of the owner", view.owner_gas, WEI, "", "pays for the owner's commands")
    yield Holding(
        "gas of the signing key", view.signing_gas, WEI, "", "pays for taking back unproved claims"
    )
