"""What this supplier is still owed, read beside a node that may be serving, or after it stopped."""

import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from node.append_log import read_segments
from node.errors import OperatorError
from relay_mining import Address, Domain
from supplier.mining.books import Books
from supplier.mining.credit import compute_policy
from supplier.mining.records import Record, decode_record
from supplier.mining.recovery import Replayable, restore_books
from supplier.settings import Settings


class ReceiptReader:
    """The receipt log under a directory; locks and changes nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def replay(self) -> Iterator[Record]:
        """Every record, in the order of writing; raises CorruptLog and CorruptRecordError."""
        for _, payloads in read_segments(self._directory):
            yield from map(decode_record, payloads)


def read_books(settings: Settings, supplier: Address, domain: Domain) -> Books:
    """The sessions that are not closed, as the receipt log has them now."""
    books = Books(supplier, compute_policy(settings.credit))
    restore_books(books, _reader(settings), domain, time.time())
    return books


def _reader(settings: Settings) -> Replayable:
    url = settings.shared.database_url
    if url is None:
        return ReceiptReader(settings.data_dir / "receipts")
    shared = import_shared()
    reader: Replayable = shared.SharedReader(shared.Database(url.get_secret_value()))
    return reader


def import_shared() -> ModuleType:
    """The package that speaks to PostgreSQL; raises OperatorError where its driver is missing."""
    try:
        return import_module("supplier.shared")
    except ImportError as error:
        raise OperatorError(
            "shared.database_url needs psycopg: pip install 'lode[cluster]'"
        ) from error
