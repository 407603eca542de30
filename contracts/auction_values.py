"""What the auction speaks of: orders and their seals, rounds and their windows, clearings."""

from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode as abi_encode

from contracts.client import Struct
from pricing import ClearingProof, Opening, Order
from relay_mining import Address, Clock, Hash32, RosterEntry, keccak

CLEARING_STEPS = 5
"""Clearings, demands, answers, proofs of disorder and the publishing share the time left."""

OPEN_SESSIONS = 3
"""A session's claims are open until two sessions after its own."""

_KEY_TYPE = "(bytes32,uint64,uint8,address)"
_TERMS_TYPE = "(uint64,uint32,address)"


class OrderSide(IntEnum):
    """Which way an order trades, as the contract numbers it."""

    ASK = 0
    BID = 1


class OrderState(IntEnum):
    """Where an order stands; a closed one has nothing left in the contract."""

    NONE = 0
    SEALED = 1
    OPEN = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class AuctionTerms:
    """Numbers of an auction contract that never change, in token base units and 1/10000."""

    order_bond: int = 10**6
    """What every order puts down, and loses where it is not revealed."""
    clearing_bond: int = 100 * 10**6
    """What a clearing puts down, and loses where it is defeated."""
    leaf_stake: int = 10**6
    """What demanding a leaf costs where it is shown."""
    fee_bps: int = 100
    """The least part of the posted price that reaches no supplier."""
    clearer_bps: int = 1_000
    """The part of a round's charges that goes to whoever cleared it."""


@dataclass(frozen=True, slots=True)
class OrderKey:
    """Who trades in which round: the supplier of an ask, the application of a bid."""

    service: Hash32
    epoch: int
    side: OrderSide
    trader: Address

    def encode(self) -> Struct:
        """The Solidity struct."""
        return (self.service, self.epoch, int(self.side), self.trader)


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What a sealed order says; a unit is a million compute units."""

    price: int
    """The least a supplier takes, the most an application pays, for a unit."""
    quantity: int
    gateway: Address = bytes(20)
    """The gateway an application goes through; the zero address for an ask."""

    def encode(self) -> Struct:
        """The Solidity struct."""
        return (self.price, self.quantity, self.gateway)


@dataclass(frozen=True, slots=True)
class SealedOrder:
    """An order with the salt that seals it: keep it until it is revealed."""

    key: OrderKey
    terms: OrderTerms
    salt: Hash32

    def seal(self, chain_id: int, auction: Address) -> Hash32:
        """What the order is committed as; no other trader, round or contract can reveal it."""
        types = ("uint256", "address", _KEY_TYPE, _TERMS_TYPE, "bytes32")
        values = (chain_id, auction, self.key.encode(), self.terms.encode(), self.salt)
        return keccak(abi_encode(types, values))


@dataclass(frozen=True, slots=True)
class AuctionOrder:
    """An order as the contract keeps it."""

    content: Hash32
    """The seal, then the packed terms."""
    payer: Address
    deposit: int
    state: OrderState


@dataclass(frozen=True, slots=True)
class AuctionWindows:
    """The blocks that bound a round's steps; each is the first one of what follows it."""

    commit_from: int
    reveal_from: int
    reveal_end: int
    clear_from: int
    clear_end: int
    demand_end: int
    answer_end: int
    publish_from: int
    publish_end: int


def compute_windows(clock: Clock, epoch: int) -> AuctionWindows:
    """The windows of the round that fills an epoch (ValueError before epoch 2: there is none)."""
    if epoch < 2:
        raise ValueError(f"no round fills epoch {epoch}")
    last = (epoch - 1) * clock.epoch_sessions - 1
    commit_from = clock.start((epoch - 2) * clock.epoch_sessions)
    reveal_end = clock.start(last)
    clear_from = clock.seed_block(last) + 1
    publish_end = clock.start(epoch * clock.epoch_sessions - 1)
    step = (publish_end - clear_from) // CLEARING_STEPS
    return AuctionWindows(
        commit_from=commit_from,
        reveal_from=(commit_from + reveal_end) // 2,
        reveal_end=reveal_end,
        clear_from=clear_from,
        clear_end=clear_from + step,
        demand_end=clear_from + 2 * step,
        answer_end=clear_from + 3 * step,
        publish_from=clear_from + 4 * step,
        publish_end=publish_end,
    )


def open_round(clock: Clock, block: int) -> int:
    """The epoch whose orders are committed, or revealed, in the epoch of a block."""
    return clock.epoch_of(clock.session_at(block)) + 2


def backed_quantity(stake: int, reserve: int, clock: Clock, bond_ratio_max: int) -> int:
    """The most units whose sale a lasting stake backs, were they sold at the reserve.

    The claims of three sessions are open at once, and each needs a bond; rounded down.
    """
    return stake * clock.epoch_sessions * bond_ratio_max // (OPEN_SESSIONS * max(1, reserve))


@dataclass(frozen=True, slots=True)
class Round:
    """What a round comes to; money in token base units, units in millions of compute units."""

    price: int
    """The posted price of a unit: all an application pays."""
    supply: int
    demand: int
    asks: int
    bids: int
    cost: int
    procured: int
    is_cleared: bool
    paid: int
    submitter: Address
    """Whose clearing it was; the zero address where nothing is cleared."""
    charges: int
    """What settled bids were charged, and nobody was credited with yet."""
    bids_root: Hash32


@dataclass(frozen=True, slots=True)
class ClearingKey:
    """What names a clearing."""

    service: Hash32
    epoch: int
    submitter: Address
    asks_root: Hash32
    bids_root: Hash32

    @property
    def id(self) -> Hash32:
        """The hash of its ABI encoding."""
        return keccak(abi_encode(("(bytes32,uint64,address,bytes32,bytes32)",), (self.encode(),)))

    def encode(self) -> Struct:
        """The Solidity struct."""
        return (self.service, self.epoch, self.submitter, self.asks_root, self.bids_root)


@dataclass(frozen=True, slots=True)
class AuctionClearing:
    """A clearing as the contract keeps it."""

    entries_hash: Hash32
    owed: int
    """Leaves that were demanded and not shown yet."""
    is_defeated: bool


@dataclass(frozen=True, slots=True)
class RevealedOrder:
    """An order as its reveal told it."""

    side: OrderSide
    order: Order
    gateway: Address
    is_in: bool
    """Whether it accepts the posted price, and so takes part."""


def encode_opening(opening: Opening) -> Struct:
    """The Solidity struct of an opening."""
    return (opening.lefts, [(each.digest, each.sums) for each in opening.siblings])


def encode_proof(proof: ClearingProof) -> tuple[list[Struct], list[Struct]]:
    """The Solidity structs of a proof's covers and sales."""
    covers: list[Struct] = [(each.supplier, encode_opening(each.opening)) for each in proof.covers]
    sales: list[Struct] = [
        (each.supplier, each.cover, encode_opening(each.opening)) for each in proof.sales
    ]
    return covers, sales


def encode_entries(entries: tuple[RosterEntry, ...]) -> list[Struct]:
    """The Solidity structs of a roster."""
    return [(each.supplier, each.unit_price, each.weight) for each in entries]
