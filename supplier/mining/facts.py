"""What a supplier must know of a session to serve and claim it, as the chain had it at opening."""

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from relay_mining import BPS, Address, DrawnMember, Hash32, SessionKey, SessionTerms, UnitWeights


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The values one session opened with, for one member; they never change."""

    terms: SessionTerms
    gateway_signer: Address
    weights: UnitWeights
    spec_hash: Hash32
    fee_bps: int
    source_bps: int
    protocol_bps: int
    seat: DrawnMember
    """How this supplier was drawn."""
    margin_bps: int
    bond_ratio_max: int
    members: int
    delegation_fee: int
    """Non-refundable fee of making a delegation, in token base units."""

    @property
    def key(self) -> SessionKey:
        """The session."""
        return self.terms.key

    def net(self, value: int) -> int:
        """What of a claim's value is the supplier's, in token base units.

        The shares of source, gateway and protocol each round down, as on chain.
        """
        shares = (self.source_bps, self.fee_bps, self.protocol_bps)
        return value - sum(value * bps // BPS for bps in shares)

    def encode(self) -> bytes:
        """The facts as one JSON object, for the receipt log."""
        key, terms, weights = self.terms.key, self.terms, self.weights
        return orjson.dumps(
            {
                "application": key.application.hex(),
                "gateway": key.gateway.hex(),
                "service": key.service.hex(),
                "number": key.number,
                "price": str(terms.price),
                "slice_amount": str(terms.slice_amount),
                "tau": str(terms.tau),
                "slice_units": str(terms.slice_units),
                "gateway_signer": self.gateway_signer.hex(),
                "weights": [
                    str(each)
                    for each in (weights.request, weights.input, weights.cached, weights.output)
                ],
                "spec_hash": self.spec_hash.hex(),
                "fee_bps": self.fee_bps,
                "source_bps": self.source_bps,
                "protocol_bps": self.protocol_bps,
                "seat": [self.seat.index, self.seat.draw, list(self.seat.earlier)],
                "margin_bps": self.margin_bps,
                "bond_ratio_max": self.bond_ratio_max,
                "members": self.members,
                "delegation_fee": str(self.delegation_fee),
            }
        )


def read_count(value: object) -> int:
    """A number that is written as one, and not as text; raises ValueError."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is no count")
    return value


def decode_facts(data: bytes) -> SessionFacts:
    """The facts `encode` wrote; raises KeyError, TypeError or ValueError on anything else."""
    raw: dict[str, Any] = orjson.loads(data)
    key = SessionKey(
        bytes.fromhex(raw["application"]),
        bytes.fromhex(raw["gateway"]),
        bytes.fromhex(raw["service"]),
        read_count(raw["number"]),
    )
    terms = SessionTerms(
        key=key,
        price=int(raw["price"]),
        slice_amount=int(raw["slice_amount"]),
        tau=int(raw["tau"]),
        slice_units=int(raw["slice_units"]),
    )
    index, draw, earlier = raw["seat"]
    return SessionFacts(
        terms=terms,
        gateway_signer=bytes.fromhex(raw["gateway_signer"]),
        weights=UnitWeights(*(int(each) for each in raw["weights"])),
        spec_hash=bytes.fromhex(raw["spec_hash"]),
        fee_bps=read_count(raw["fee_bps"]),
        source_bps=read_count(raw["source_bps"]),
        protocol_bps=read_count(raw["protocol_bps"]),
        seat=DrawnMember(read_count(index), read_count(draw), tuple(map(read_count, earlier))),
        margin_bps=read_count(raw["margin_bps"]),
        bond_ratio_max=read_count(raw["bond_ratio_max"]),
        members=read_count(raw["members"]),
        delegation_fee=int(raw["delegation_fee"]),
    )


class MarketView(Protocol):
    """What serving relays needs of the chain; the consumer owns this interface."""

    async def session_facts(self, key: SessionKey) -> SessionFacts:
        """The facts of a session this supplier may serve.

        Raises WrongSessionError where it is not valid, NotMemberError where this supplier was
        not drawn, ChainUnavailableError where the chain cannot be asked.
        """
        ...

    async def is_current(self, number: int) -> bool:
        """Whether session `number` is the one that is running.

        Raises ChainUnavailableError where that cannot be known.
        """
        ...

    def has_just_ended(self, number: int) -> bool:
        """Whether session `number` is over for so short that a gateway may not have seen it."""
        ...
