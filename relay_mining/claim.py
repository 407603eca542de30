"""Claims: what a supplier says it served in a session, once and for good, and what backs it."""

from dataclasses import dataclass

from relay_mining.errors import InvalidClaimError
from relay_mining.hashing import address_word, keccak
from relay_mining.session import SessionKey
from relay_mining.sum_trie import TrieRoot
from relay_mining.types import (
    ADDRESS_BYTES,
    AMOUNT_MAX,
    UINT64_MAX,
    UNITS_MAX,
    UNITS_PER_PRICE,
    Address,
    Hash32,
    require_bytes,
    require_range,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One supplier's claim for one session, with the values the session opened with."""

    supplier: Address
    session: SessionKey
    root: TrieRoot
    value: int
    """Token base units."""
    bond: int
    """Token base units reserved from the supplier's free stake."""
    tau: int
    """The session's sampling threshold, in compute units."""
    fee_bps: int
    """The gateway's share of a payment."""
    price: int
    """Token base units for a million compute units."""

    @property
    def id(self) -> Hash32:
        """`keccak256(abi.encode(supplier, sessionId))`: one claim a supplier and session."""
        return compute_claim_id(self.supplier, self.session.id)


def compute_claim_id(supplier: Address, session_id: Hash32) -> Hash32:
    """Return `keccak256(abi.encode(supplier, sessionId))`."""
    require_bytes("supplier", supplier, ADDRESS_BYTES)
    require_bytes("session_id", session_id, 32)
    return keccak(address_word(supplier) + session_id)


def compute_value(units: int, price: int) -> int:
    """Return what `units` of weight earn, in token base units, rounded down (against the claimant).

    Raises:
        InvalidClaimError: the value does not fit the chain's amounts.
    """
    require_range("units", units, 0, UINT64_MAX)
    require_range("price", price, 1, UINT64_MAX)
    value = units * price // UNITS_PER_PRICE
    if value > AMOUNT_MAX:
        raise InvalidClaimError(f"a value of {value} does not fit an amount")
    return value


def minimum_bond(value: int, bond_ratio_max: int) -> int:
    """Return the least bond, in token base units, that a claim of `value` may reserve.

    Rounds up (against the claimant), never below 1.
    """
    require_range("value", value, 0, AMOUNT_MAX)
    if bond_ratio_max < 1:
        raise ValueError(f"bond_ratio_max is {bond_ratio_max}")
    return max(1, -(-value // bond_ratio_max))


def verify_claim(claim: Claim, slice_amount: int, bond_ratio_max: int) -> None:
    """Check what the contract checks of a claim's own numbers, before gas is spent on it.

    Raises:
        InvalidClaimError: naming the number that the contract would refuse.
    """
    root = claim.root
    if not 0 < root.sum <= UNITS_MAX or not 0 < root.count <= root.sum:
        raise InvalidClaimError(f"a sum of {root.sum} over {root.count} leaves")
    if claim.value != compute_value(root.sum, claim.price):
        raise InvalidClaimError(f"a value of {claim.value} for {root.sum} units")
    if not claim.value:
        raise InvalidClaimError(f"{root.sum} units are worth nothing")
    if claim.value > slice_amount:
        raise InvalidClaimError(f"a value of {claim.value} over a slice of {slice_amount}")
    if not minimum_bond(claim.value, bond_ratio_max) <= claim.bond <= AMOUNT_MAX:
        raise InvalidClaimError(f"a bond of {claim.bond} for a value of {claim.value}")
