"""What can be checked of one request, each with whether it holds: signatures, counts, the chain."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.books.bills import CheckedBill, verify_bill
from gateway.dashboard.claims_board import ClaimsBoard
from gateway.dashboard.market_model import MarketModel
from gateway.dashboard.rows import ClaimRow
from gateway.dashboard.shapes import show_id
from gateway.errors import BillError
from gateway.settlement.outbox import OwedReceipt
from relay_mining import Address, Hash32, compute_claim_id

Json = dict[str, Any]


def check_request(
    bill: Mapping[str, Any],
    receipts: Sequence[OwedReceipt],
    waiting: Collection[Hash32],
    model: MarketModel,
) -> list[Json]:
    """The verdicts on a request; `holds` is None where it cannot be known yet.

    `waiting` are the responses whose receipts no supplier has acknowledged.
    """  # fmt: skip
    if not receipts:
        return [_verdict("receipt", None, "the recount is still to come, or nothing was served")]
    try:
        checked = verify_bill(bill)
    except BillError as error:
        return [_verdict("bill", False, str(error))]
    supplier = receipts[-1].supplier
    return [
        _check_answer(checked, supplier, model),
        _check_recount(receipts),
        _check_receipt(checked, receipts),
        _check_delivery(receipts, waiting),
        _check_claim(receipts[-1], model.claims),
    ]


def _verdict(name: str, holds: bool | None, says: str) -> Json:
    return {"name": name, "holds": holds, "says": says}


def _check_answer(checked: CheckedBill, supplier: Address, model: MarketModel) -> Json:
    row = model.suppliers.get(supplier)
    names = ", ".join(show_id(each) for each in sorted(checked.operators))
    if row is None:
        return _verdict("answer", None, f"signed by {names}; the supplier's events are not read")
    holds = checked.operators == {row.operator}
    ends = "its operator key on the chain" if holds else "which is not its operator key now"
    return _verdict("answer", holds, f"signed by {names}, {ends}")


def _check_recount(receipts: Sequence[OwedReceipt]) -> Json:
    signed = max(each.bill.response.units for each in receipts if each.bill)
    counted = sum(each.units for each in receipts)
    says = f"{signed} units signed, {counted} found by the gateway's own count"
    return _verdict("recount", counted == signed, says)


def _check_receipt(checked: CheckedBill, receipts: Sequence[OwedReceipt]) -> Json:
    signer = show_id(checked.signer or b"")
    holds = checked.signer == receipts[-1].signer
    return _verdict("receipt", holds, f"{len(checked.charges)} in a batch signed by {signer}")


def _check_delivery(receipts: Sequence[OwedReceipt], waiting: Collection[Hash32]) -> Json:
    left = sum(each.response_hash in waiting for each in receipts)
    if left:
        return _verdict("delivery", None, f"{left} not acknowledged by the supplier yet")
    return _verdict("delivery", True, "the supplier's signed word that it is durable is here")


def _check_claim(receipt: OwedReceipt, claims: ClaimsBoard) -> Json:
    number = receipt.session.number
    row = find_claim(claims, compute_claim_id(receipt.supplier, receipt.session.id))
    if row is None:
        return _verdict("claim", None, f"session {number} is claimed when it is over")
    says = f"session {number} is claimed for {row.claim.root.sum} units, {row.state}"
    return _verdict("claim", {"paid": True, "voided": False}.get(row.state), says)


def find_claim(claims: ClaimsBoard, claim_id: Hash32) -> ClaimRow | None:
    """A claim that is open, or was settled lately."""
    found = claims.open.get(claim_id)
    if found is not None:
        return found
    return next((each for each in reversed(claims.settled) if each.claim.id == claim_id), None)
