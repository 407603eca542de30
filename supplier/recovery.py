"""Starting again: the books as the receipt log has them, after any stop."""

from collections.abc import Iterator
from typing import Protocol

from relay_mining import Domain, InvalidProofError, mine_receipt
from supplier.books import Books, SessionBook
from supplier.records import Claimed, Closed, CorruptRecordError, Opened, Receipted, Record, Sealed


class Replayable(Protocol):
    """A receipt log, open for writing or only read."""

    def replay(self) -> Iterator[Record]:
        """Every record, in the order of writing."""
        ...


def restore_books(books: Books, log: Replayable, domain: Domain) -> int:
    """Replay the log into empty books and return how many receipts were counted.

    Raises CorruptRecordError for a receipt that this supplier cannot have logged.
    """
    count = 0
    for record in log.replay():
        if isinstance(record, Opened):
            books.open(record.facts, record.salt).facts = record.facts
            continue
        found = books.sessions.get(record.session_id)
        if found is None:
            continue  # closed, its beginning already deleted
        if isinstance(record, Receipted):
            count += _count(books, found, record, domain)
        elif isinstance(record, Sealed):
            found.is_sealed = True
        elif isinstance(record, Claimed):
            found.claims.append(record.claim)
        elif isinstance(record, Closed):
            books.forget_history(found)
            books.drop([record.session_id])
    return count


def _count(books: Books, book: SessionBook, record: Receipted, domain: Domain) -> int:
    receipt = record.mined(books.supplier, book.salt).receipt
    digest = domain.digest(receipt)
    if digest in book.receipts or book.is_sealed:
        return 0
    try:
        leaf = mine_receipt(digest, record.units, book.salt, book.facts.terms.tau)
    except InvalidProofError as error:
        raise CorruptRecordError(f"a logged receipt is impossible: {error}") from error
    books.apply_receipt(book, receipt, digest, leaf)
    return 1
