"""Starting again: the books as the receipt log has them, after any stop."""

from collections.abc import Iterator
from typing import Protocol

from relay_mining import Domain, InvalidProofError, mine_receipt
from supplier.mining.books import Books
from supplier.mining.records import (
    Claimed,
    Closed,
    CorruptRecordError,
    Opened,
    Receipted,
    Record,
    Sealed,
    Served,
)
from supplier.mining.session_book import SessionBook


class Replayable(Protocol):
    """A receipt log, open for writing or only read."""

    def replay(self) -> Iterator[Record]:
        """Every record, in the order of writing."""
        ...


def restore_books(books: Books, log: Replayable, domain: Domain, now: float) -> int:
    """Replay the log into books that know closed sessions; returns how many receipts were counted.

    What was served and never receipted is owed again, and waited for from `now`, in
    seconds of the relay server's clock.
    Raises CorruptRecordError for a receipt that this supplier cannot have logged.
    """
    closed = {each.session_id for each in log.replay() if isinstance(each, Closed)}
    count = 0
    for record in log.replay():
        if isinstance(record, Opened):
            if record.facts.key.id not in closed:
                books.open(record.facts, record.salt).facts = record.facts
            continue
        found = books.sessions.get(record.session_id)
        if found is None:
            continue  # closed, or its beginning already deleted
        if isinstance(record, Served):
            _resume(books, found, record, now)
        elif isinstance(record, Receipted):
            count += _count(books, found, record, domain)
        elif isinstance(record, Sealed):
            books.seal(found)
        elif isinstance(record, Claimed):
            found.claims.append(record.claim)
    return count


def _resume(books: Books, book: SessionBook, record: Served, now: float) -> None:
    part = (record.request_hash, record.response_hash)
    if not book.is_sealed and part not in book.receipted_parts:
        books.resume(book, *part, record.added, now, record.engine)


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
