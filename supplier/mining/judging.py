"""Whether a receipt may be counted: refused by the contract, the relay or the slice, or taken."""

from relay_mining import Address, Hash32, InvalidProofError, Leaf, Receipt, mine_receipt
from supplier.errors import ReceiptRefusedError
from supplier.mining.session_book import SessionBook, part_of


def judge_receipt(
    book: SessionBook, supplier: Address, receipt: Receipt, digest: Hash32
) -> Leaf | None:
    """The leaf a new receipt stands for, or None where the coin leaves it out.

    Raises ReceiptRefusedError for one that the contract, the relay or the slice refuses.
    """
    if book.is_sealed:
        raise ReceiptRefusedError("the session is already claimed")
    if receipt.session_id != book.session_id or receipt.supplier != supplier:
        raise ReceiptRefusedError("the receipt is of another session or supplier")
    if receipt.salt_hash != book.salt_hash:
        raise ReceiptRefusedError("the receipt commits to another salt")
    try:
        leaf = mine_receipt(digest, receipt.units, book.salt, book.facts.terms.tau)
    except InvalidProofError as error:
        raise ReceiptRefusedError(str(error)) from error
    relay = book.relay_of(receipt)
    if relay is None:
        _verify_unknown(book, receipt)
        return leaf
    if part_of(receipt) in book.receipted_parts:
        raise ReceiptRefusedError("the part is already receipted")
    if receipt.response_hash not in relay.parts:
        raise ReceiptRefusedError("the receipt is of a response this supplier did not sign")
    signed = relay.parts[receipt.response_hash]
    if receipt.units > signed:
        raise ReceiptRefusedError(
            f"the receipt says {receipt.units} units, the response adds {signed}"
        )
    return leaf


def _verify_unknown(book: SessionBook, receipt: Receipt) -> None:
    """A relay served before a restart: its receipt must fit what is left of the slice."""
    if receipt.request_hash in book.done or part_of(receipt) in book.receipted_parts:
        raise ReceiptRefusedError("the relay is already receipted")
    if not book.meter.can_accept(receipt.units):
        raise ReceiptRefusedError("the slice of the session is spent")
