"""What the chain says of this supplier, judged; amounts in token base units. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts import NOBODY, Listing, Service, SupplierAccount
from relay_mining import Address, Params, RosterEntry
from supplier.operation.doctor.finding import Finding, failed, ok, skipped, warning

CLAIMS_LOW = 20
"""Claims' worth of gas below which the operator is told."""


def judge_operator(account: SupplierAccount, key: Address, upcoming: Address | None) -> Finding:
    """Whether the key here is the operator on record, now or from the next session on."""
    if key == account.operator:
        return ok("operator key", f"0x{key.hex()} is the operator on record")
    if key == upcoming:
        return ok("operator key", f"0x{key.hex()} is the operator from the next session on")
    return failed(
        "operator key", f"the key here is 0x{key.hex()}, on record is 0x{account.operator.hex()}",
        "set keys.operator_keystore to the key on record, or run `supplier rotate-key`",
    )  # fmt: skip


def judge_gas(balance: int, claim_wei: int, operator: Address) -> Finding:
    """Whether the operator can pay for its claims; amounts in wei."""
    claims = balance // claim_wei if claim_wei else balance
    says = f"{balance} wei, enough for about {claims} claims"
    remedy = f"send native coin to 0x{operator.hex()}: without gas nothing is claimed or proved"
    if not claims:
        return failed("operator gas", says, remedy)
    if claims < CLAIMS_LOW:
        return warning("operator gas", says, remedy)
    return ok("operator gas", says)


def judge_stake(account: SupplierAccount, params: Params) -> Iterator[Finding]:
    """Whether the stake lets this supplier into rosters, and backs claims."""
    staying = account.stake - account.unstaking
    if staying < params.min_stake:
        yield failed(
            "stake", f"{staying} staked, a listing needs {params.min_stake}",
            f"supplier stake {params.min_stake - staying}",
        )  # fmt: skip
    else:
        lots = staying // params.lot_stake
        yield ok("stake", f"{staying}, {min(lots, params.lots_max)} of at most {params.lots_max} "
                 "lots count in draws")  # fmt: skip
    if account.unstaking:
        yield warning(
            "unstaking", f"{account.unstaking} leaves in session {account.unstake_session}",
            "it counts for no roster; stake again if that was not meant",
        )  # fmt: skip
    if not account.bond_cap:
        yield failed("bond cap", "it is 0: no claim can be bonded", "supplier update --bond-cap N")
    elif account.reserved >= account.stake:
        yield warning(
            "bonds", "all stake backs open claims", "stake more, or lower settlement.bond_percent"
        )


def judge_url(account: SupplierAccount, public_url: str) -> Finding:
    """Whether gateways are sent to where this server says it is."""
    if account.url.rstrip("/") == public_url.rstrip("/"):
        return ok("registered URL", account.url)
    return failed(
        "registered URL", f"the chain sends gateways to {account.url!r}, not to {public_url!r}",
        f"supplier update --url {public_url}, or mend public_url",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service of the settings, as the chain has it."""

    text: str
    service: Service
    listings: Sequence[Listing]
    candidates: Sequence[RosterEntry]
    """What a roster built now would hold."""
    roster: Sequence[RosterEntry]
    """Of the running epoch."""
    upcoming: Sequence[RosterEntry]
    """Of the next epoch, as built so far."""


def judge_service(view: ServiceView, supplier: Address, params: Params, epoch: int) -> Finding:
    """Whether sessions of a service can be drawn to this supplier."""
    name = f"listing of {view.service.name}"
    if view.service.market != NOBODY:
        return skipped(name, f"the market 0x{view.service.market.hex()} publishes its rosters")
    listing = next((each for each in view.listings if each.supplier == supplier), None)
    ask = f"supplier list {view.text} --price PRICE"
    if listing is None:
        return failed(name, "this supplier posts no ask for it", ask)
    idle = epoch + 1 - listing.last_active_epoch
    entry = next((each for each in view.candidates if each.supplier == supplier), None)
    again = f"supplier list {view.text} --price {listing.unit_price}"
    if entry is None:
        if params.idle_epochs and idle > params.idle_epochs:
            return failed(name, f"idle for {idle} epochs: rosters leave it out", again)
        return failed(
            name,
            "rosters leave it out: too little stake, or a full roster",
            "supplier stake AMOUNT",
        )  # fmt: skip
    if params.idle_epochs and idle == params.idle_epochs:
        return warning(name, f"idle for {idle} epochs: the next roster leaves it out", again)
    rank = 1 + sum(each.unit_price < entry.unit_price for each in view.candidates)
    says = f"asks {entry.unit_price}, rank {rank} of {len(view.candidates)} by price"
    return ok(name, f"{says}; {_describe_roster(view, supplier)}")


def _describe_roster(view: ServiceView, supplier: Address) -> str:
    def holds(roster: Sequence[RosterEntry]) -> bool:
        return any(each.supplier == supplier for each in roster)

    if holds(view.roster):
        return "in the running roster"
    return "in the next roster" if holds(view.upcoming) else "in the roster still to be built"
