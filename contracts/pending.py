"""A transaction that waits to be mined: what it offers, and every version of it signed so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contracts.chain import Call
from relay_mining import Hash32

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

GAS_MARGIN_PERCENT = 25
"""Gas offered above the estimate, as the state may change before the transaction is mined."""

GAS_MAX = 2**24
"""Most gas a transaction may ask for (EIP-7825)."""


@dataclass(slots=True)
class Pending:
    """One nonce's transaction; fees in wei a gas."""

    call: Call
    nonce: int
    gas: int
    tip: int
    fee: int
    sent_block: int
    taken_block: int | None = None
    """Where the nonce was first seen used without one of our versions being found mined."""
    raw: bytes = b""
    hashes: list[Hash32] = field(default_factory=list)
    """Of every version, the newest last."""

    def sign(self, account: LocalAccount, chain_id: int) -> None:
        """Make a version of what is offered now."""
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": chain_id,
            "nonce": self.nonce,
            "gas": self.gas,
            "maxFeePerGas": self.fee,
            "maxPriorityFeePerGas": self.tip,
            "value": self.call.value,
            "data": self.call.data,
        }
        if self.call.to is not None:
            transaction["to"] = self.call.to
        signed = account.sign_transaction(transaction)
        self.raw = bytes(signed.raw_transaction)
        self.hashes.append(bytes(signed.hash))


@dataclass(slots=True)
class Bar:
    """A nonce before all of ours that is not mined."""

    nonce: int
    since_block: int
    fee: int = 0
    """What was offered last to have it mined."""


def offer_gas(estimate: int) -> int:
    """The estimate and a margin, within what a transaction may ask for."""
    return max(estimate, min(estimate + estimate * GAS_MARGIN_PERCENT // 100, GAS_MAX))


def bump_fee(fee: int) -> int:
    """12.5 % more, rounded up: the least that pools take for another version."""
    return fee + -(-fee // 8)
