"""What restored receipts can still earn, session by session. Pure."""

from dataclasses import dataclass

from contracts import PastClaim
from relay_mining import Clock
from supplier.mining.session_book import SessionBook


@dataclass(frozen=True, slots=True)
class Rescue:
    """One session of a restored log."""

    number: int
    units: int
    """Receipted, as far as the backup knows."""
    says: str
    bond_at_risk: int = 0
    """Token base units that go where a challenged claim cannot be proved from the backup."""


def judge_rescue(book: SessionBook, claimed: PastClaim | None, head: int, clock: Clock) -> Rescue:
    """What can be done about a session, whose claim on the chain is `claimed`.

    A claim of more than the backup holds was made from receipts that came after it: where one of
    those is challenged, only the lost disk could have proved it.
    """
    number, units = book.key.number, book.totals.receipted
    if claimed is None:
        window = clock.claim_window(number)
        if head < window.closes:
            return Rescue(number, units, f"is claimed by `supplier serve` until {window.closes}")
        return Rescue(number, units, "too late to claim: it is lost")
    if claimed.end is not None:
        return Rescue(number, units, "is settled")
    if claimed.claim.root.sum != book.totals.payable:
        bond = claimed.claim.bond
        return Rescue(number, units, "was claimed with receipts that are not in the backup", bond)
    return Rescue(number, units, "was claimed and can be proved")
