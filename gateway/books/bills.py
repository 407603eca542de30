"""A bill: what a request cost, with all that an application needs to check it by itself.

Receipts are signed in batches, and a receipt is the same in whichever batch it is, so that the
receipts of one request can be signed together at any time, long after their supplier has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.access.budgets import round_up
from gateway.errors import BillError
from gateway.routing.relay import RelaySigner
from gateway.settlement.outbox import OwedReceipt
from relay_mining import (
    Address,
    Domain,
    Hash32,
    Receipt,
    ReceiptBatch,
    RelayMiningError,
    RelayResponse,
    SessionKey,
    Status,
    build_batch,
    keccak,
    recover,
    verify_batch_path,
)


def write_bill(receipts: Sequence[OwedReceipt], signer: RelaySigner) -> dict[str, Any]:
    """The bill of one request's receipts, in the order of their parts, as JSON.

    Raises SigningKeyMissingError where their key is not at hand.
    """
    paid = [each for each in receipts if each.units > 0 and each.bill is not None]
    costs = [each.units * each.bill.price for each in paid if each.bill]
    bill: dict[str, Any] = {
        "chain_id": signer.domain.chain_id,
        "claims_contract": _hex(signer.domain.verifying_contract),
        "units": sum(each.units for each in paid),
        "cost": round_up(sum(costs)),
        "cost_millionths": sum(costs),
        "receipts": [],
    }
    if not paid:
        return bill
    key = signer.key_of(paid[0].signer)
    made = [each.receipt(key) for each in paid]
    tree = build_batch([signer.domain.digest(each) for each in made])
    signature = key.sign(signer.domain.digest(ReceiptBatch(tree.root)))
    bill["batch"] = {
        "root": _hex(tree.root), "signature": _hex(signature), "signer": _hex(paid[0].signer),
    }  # fmt: skip
    bill["receipts"] = [
        _write_receipt(owed, receipt, tree.path(index))
        for index, (owed, receipt) in enumerate(zip(paid, made, strict=True))
    ]
    return bill


def _write_receipt(
    owed: OwedReceipt, receipt: Receipt, path: Sequence[Hash32]
) -> dict[str, object]:
    assert owed.bill is not None
    session, said = owed.session, owed.bill.response
    return {
        "session": {
            "application": _hex(session.application),
            "gateway": _hex(session.gateway),
            "service": _hex(session.service),
            "number": session.number,
        },
        "supplier": _hex(owed.supplier),
        "request_hash": _hex(owed.request_hash),
        "salt_hash": _hex(owed.salt_hash),
        "units": owed.units,
        "price": owed.bill.price,
        "secret": _hex(receipt.secret),
        "path": [_hex(each) for each in path],
        "response": {
            "body_hash": _hex(said.body_hash),
            "service_spec_hash": _hex(said.service_spec_hash),
            "input_tokens": said.input_tokens,
            "cached_tokens": said.cached_tokens,
            "output_tokens": said.output_tokens,
            "units": said.units,
            "status": int(said.status),
            "part": said.part,
            "signature": _hex(owed.bill.signature),
        },
    }


@dataclass(frozen=True, slots=True)
class Charge:
    """What one receipt charges, and who signed that it was served."""

    session: SessionKey
    supplier: Address
    operator: Address
    """The key that signed the answer; on the chain it is the supplier's in the session."""
    request_hash: Hash32
    response_hash: Hash32
    units: int
    price: int
    """The gateway's word, which no signature covers: token base units for a million units. On the
    chain it is the supplier's in the roster of the session's epoch."""


@dataclass(frozen=True, slots=True)
class CheckedBill:
    """What a bill that holds says."""

    domain: Domain
    signer: Address | None
    """The gateway's key that signed for all of it; on the chain it is registered for the session.
    None where nothing is charged."""
    charges: tuple[Charge, ...]
    cost: int
    """Token base units, rounded up."""

    @property
    def units(self) -> int:
        """All compute units that are charged."""
        return sum(each.units for each in self.charges)

    @property
    def operators(self) -> frozenset[Address]:
        """The keys of suppliers that signed the answers."""
        return frozenset(each.operator for each in self.charges)


def verify_bill(
    bill: Mapping[str, Any], *, body_hash: Hash32 | None = None, salt: Hash32 | None = None
) -> CheckedBill:
    """Check a bill without asking anybody; raises BillError with what does not hold.

    `body_hash` is of the answer as received, `salt` what the supplier opened on the chain.
    """
    try:
        return _verify(bill, body_hash, salt)
    except RelayMiningError as error:
        raise BillError(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BillError(f"the bill does not parse: {error!r}") from error


def _verify(bill: Mapping[str, Any], body_hash: Hash32 | None, salt: Hash32 | None) -> CheckedBill:
    domain = Domain(int(bill["chain_id"]), _bytes(bill["claims_contract"]))
    charges: dict[Hash32, Charge] = {}
    relays: dict[Hash32, int] = {}
    last: RelayResponse | None = None
    for each in bill["receipts"]:
        response, operator = _verify_response(each, domain)
        charge = _verify_receipt(each, domain.digest(response), operator, domain, bill["batch"])
        _require(salt is None or keccak(salt) == response.salt_hash, "this is not the salt")
        taken = relays[charge.request_hash] = relays.get(charge.request_hash, 0) + charge.units
        _require(charge.units > 0 and taken <= response.units, "more units than were signed")
        _require(charge.response_hash not in charges, "a receipt is in it twice")
        charges[charge.response_hash] = charge
        last = response
    found = tuple(charges.values())
    cost = sum(each.units * each.price for each in found)
    _require(sum(each.units for each in found) == bill["units"], "the units do not add up")
    _require(cost == bill["cost_millionths"], "the cost does not add up")
    _require(round_up(cost) == bill["cost"], "the cost is not rounded up")
    if body_hash is not None:
        _require(last is not None and last.body_hash == body_hash, "this is another answer")
    signer = _bytes(bill["batch"]["signer"]) if found else None
    return CheckedBill(domain, signer, found, round_up(cost))


def _verify_response(each: Mapping[str, Any], domain: Domain) -> tuple[RelayResponse, Address]:
    """The supplier's response that a receipt is for, and who signed it."""
    said = each["response"]
    response = RelayResponse(
        _bytes(each["request_hash"]), _bytes(said["body_hash"]), _bytes(each["salt_hash"]),
        said["input_tokens"], said["cached_tokens"], said["output_tokens"], said["units"],
        Status(said["status"]), _bytes(said["service_spec_hash"]), said["part"],
    )  # fmt: skip
    return response, recover(domain.digest(response), _bytes(said["signature"]))


def _verify_receipt(
    each: Mapping[str, Any],
    response_hash: Hash32,
    operator: Address,
    domain: Domain,
    batch: Mapping[str, Any],
) -> Charge:
    """What a receipt charges, once the gateway's key signed a batch that it is in."""
    at = each["session"]
    session = SessionKey(
        _bytes(at["application"]), _bytes(at["gateway"]), _bytes(at["service"]), at["number"]
    )
    receipt = Receipt(
        session.id, _bytes(each["supplier"]), _bytes(each["request_hash"]), response_hash,
        _bytes(each["salt_hash"]), each["units"], _bytes(each["secret"]),
    )  # fmt: skip
    root = _bytes(batch["root"])
    verify_batch_path(domain.digest(receipt), [_bytes(one) for one in each["path"]], root)
    signatory = recover(domain.digest(ReceiptBatch(root)), _bytes(batch["signature"]))
    _require(signatory == _bytes(batch["signer"]), "the batch is signed by another key")
    price = each["price"]
    _require(isinstance(price, int) and price >= 0, "a price is no whole number")
    return Charge(
        session, receipt.supplier, operator, receipt.request_hash, response_hash, receipt.units,
        price,
    )  # fmt: skip


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise BillError(why)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
