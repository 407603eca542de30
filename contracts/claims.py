"""Claims, proofs and settlement: what a supplier sends at the end of a session, and what it led to.

The chain keeps only a claim's hash, so whoever proves or settles brings the claim again: from its
own store, or from the `ClaimSubmitted` event.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from contracts.answers import Log, TxReceipt
from contracts.chain import Call
from contracts.client import ContractClient, Struct
from contracts.errors import ContractError
from contracts.events import Event, decode_log, read_logs
from contracts.reverts import decode_revert
from contracts.sessions import NO_SEED, encode_key
from relay_mining import (
    Address,
    Claim,
    DrawnMember,
    Hash32,
    LeafProof,
    SessionKey,
    TrieRoot,
)

BATCH_MAX = 24
"""Claims of one transaction: that many are sure to fit the gas it may ask for."""

CLAIM_EVENTS = ("ClaimSubmitted", "ClaimPaid", "ClaimVoided")
"""Events that say what became of a claim, by its id."""


@dataclass(frozen=True, slots=True)
class ClaimInput:
    """What a supplier's operator sends to claim one session."""

    session: SessionKey
    supplier: Address
    root: TrieRoot
    bond: int
    """Stake put at risk, in token base units."""
    member: DrawnMember
    """How the supplier was drawn for the session."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a claim has to prove."""

    seed: Hash32 | None
    """The claim's own challenge seed; None while it cannot be known, and once it is lost."""
    points: int
    """Leaves to open; 0 settles without a proof. Meaningless without a seed."""


@dataclass(frozen=True, slots=True)
class ClaimAccepted:
    """A claim that the contract took."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class ClaimRefused:
    """A claim of a batch that the contract did not take."""

    index: int
    """Its place in the batch."""
    error: ContractError


@dataclass(frozen=True, slots=True)
class ClaimPaid:
    """A claim that was paid; shares in token base units."""

    claim_id: Hash32
    supplier_share: int
    source_share: int
    gateway_share: int
    protocol_share: int


@dataclass(frozen=True, slots=True)
class ClaimVoided:
    """A claim whose required proof was missing when its window closed; its bond is lost."""

    claim_id: Hash32
    bond: int


@dataclass(frozen=True, slots=True)
class SettleRefused:
    """A claim of a settled batch that was left as it is."""

    claim_id: Hash32
    error: ContractError


Outcome: TypeAlias = ClaimAccepted | ClaimRefused | ClaimPaid | ClaimVoided | SettleRefused


class Claims(ContractClient):
    """The contract `Claims`."""

    CONTRACT = "Claims"

    async def is_open(self, claim: Claim, *, block: int | None = None) -> bool:
        """Whether this very claim was accepted and is not settled."""
        return cast(bool, await self._read_one("isOpen", encode_claim(claim), block=block))

    async def challenge(self, claim: Claim, *, block: int | None = None) -> Challenge:
        """What a claim has to prove, once its seed can be known."""
        seed, points = await self._read("challengeOf", encode_claim(claim), block=block)
        return Challenge(None if seed == NO_SEED else seed, points)

    async def history(self, claim_id: Hash32, first: int, last: int) -> tuple[Outcome, ...]:
        """What became of the claim of an id in blocks `first` to `last`, in the chain's order."""
        topics = [self.abi.event(name).signature_hash for name in CLAIM_EVENTS]
        logs = await read_logs(self.chain, [self.address], first, last, topics, claim_id)
        return self._outcomes(logs)

    async def check_leaf(
        self,
        claim: Claim,
        salt: Hash32,
        point: int,
        leaf: LeafProof,
        *,
        block: int | None = None,
    ) -> None:
        """The contract's own verdict on a leaf, before anything is sent (ContractError)."""
        arguments = (encode_claim(claim), salt, point, encode_leaf(leaf))
        await self._read("checkLeaf", *arguments, block=block)

    async def domain_separator(self, *, block: int | None = None) -> Hash32:
        """The EIP-712 domain separator of every message of the market."""
        return cast(Hash32, await self._read_one("domainSeparator", block=block))

    def submit(self, inputs: Sequence[ClaimInput]) -> Call:
        """Claim sessions of one number, each accepted or refused by itself; the operator sends it.

        At most BATCH_MAX at once, all of one supplier and number (ValueError).
        """
        _require_batch(inputs)
        batches = {(each.supplier, each.session.number) for each in inputs}
        if len(batches) != 1:
            raise ValueError("claims of several suppliers or session numbers at once")
        ((supplier, number),) = batches
        return self._call(
            "submitClaims", supplier, number, [_encode_input(each) for each in inputs]
        )

    def prove(self, claim: Claim, salt: Hash32, leaves: Sequence[LeafProof]) -> Call:
        """Prove a claim and have it paid, the leaves in the order of the points; anyone may."""
        structs = [encode_leaf(each) for each in leaves]
        return self._call("prove", encode_claim(claim), salt, structs)

    def settle(self, claims: Sequence[Claim]) -> Call:
        """Pay claims that need no proof, void those whose proof is missing; anyone may.

        At most BATCH_MAX at once (ValueError).
        """
        _require_batch(claims)
        return self._call("settle", [encode_claim(each) for each in claims])

    def outcomes(self, receipt: TxReceipt) -> tuple[Outcome, ...]:
        """What a transaction did to claims, in its order."""
        return self._outcomes(each for each in receipt.logs if each.address == self.address)

    def _outcomes(self, logs: Iterable[Log]) -> tuple[Outcome, ...]:
        events = (decode_log("claims", self.abi, each) for each in logs)
        decoded = (decode_outcome(each) for each in events if each is not None)
        return tuple(each for each in decoded if each is not None)


def decode_outcome(event: Event) -> Outcome | None:
    """What an event of `Claims` says of a claim; None for any other event."""
    values = event.values
    match event.name:
        case "ClaimSubmitted":
            return ClaimAccepted(decode_claim(values["claim"]))
        case "ClaimRefused":
            return ClaimRefused(values["index"], decode_revert(values["reason"]))
        case "ClaimPaid":
            return ClaimPaid(
                values["claimId"],
                values["supplierShare"],
                values["sourceShare"],
                values["gatewayShare"],
                values["protocolShare"],
            )
        case "ClaimVoided":
            return ClaimVoided(values["claimId"], values["bond"])
        case "SettleRefused":
            return SettleRefused(values["claimId"], decode_revert(values["reason"]))
        case _:
            return None


def encode_claim(claim: Claim) -> Struct:
    """The Solidity struct of a claim."""
    return (
        claim.supplier,
        encode_key(claim.session),
        claim.root.digest,
        claim.root.sum,
        claim.root.count,
        claim.value,
        claim.bond,
        claim.tau,
        claim.price,
        claim.fee_bps,
    )


def decode_claim(struct: Struct) -> Claim:
    """The claim of a Solidity struct."""
    supplier, session, digest, total, count, value, bond, tau, price, fee_bps = struct
    return Claim(
        supplier=supplier,
        session=SessionKey(*session),
        root=TrieRoot(digest, total, count),
        value=value,
        bond=bond,
        tau=tau,
        fee_bps=fee_bps,
        price=price,
    )


def encode_leaf(leaf: LeafProof) -> Struct:
    """The Solidity struct of an opened leaf."""
    return (
        leaf.request_hash,
        leaf.response_hash,
        leaf.units,
        leaf.secret,
        leaf.batch_path,
        leaf.batch_signature,
        leaf.siblings,
    )


def _require_batch(claims: Sequence[object]) -> None:
    if not 1 <= len(claims) <= BATCH_MAX:
        raise ValueError(f"{len(claims)} claims at once, not 1 to {BATCH_MAX}")


def _encode_input(claim: ClaimInput) -> Struct:
    return (
        claim.session.application,
        claim.session.gateway,
        claim.session.service,
        claim.root.digest,
        claim.root.sum,
        claim.root.count,
        claim.bond,
        claim.member.index,
        claim.member.draw,
        claim.member.earlier,
    )
