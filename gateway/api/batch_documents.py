"""What is known of each batch: a document in a store, and a mark once it is cancelled."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.api.file_store import ID, FileStore
from gateway.api.files import META

CANCEL = ".cancel"
OPEN = ("in_progress", "cancelling")
"""The states of a batch that is not over."""
KEPT_MAX = 10_000
"""Documents of all keys together: beyond it those of batches that ended first are dropped."""

Document = dict[str, Any]
"""A batch as clients see it, and its `key`."""


@dataclass(slots=True)
class BatchDocuments:
    """The documents of a store that several gateways may share; slow, so never on the loop's
    thread.
    """

    store: FileStore
    _over: set[str] = field(default_factory=set)
    """Names of those that are over, and stay so."""

    def get(self, batch: str) -> Document:
        """The document of a batch, empty where there is none."""
        known = self.store.get(batch + META) if ID.fullmatch(batch) else None
        document: Document = orjson.loads(known or b"{}")
        return document

    def create(self, document: Document) -> bool:
        """Write the document of a new batch; whether there was none of its name."""
        return self.store.create(document["id"] + META, orjson.dumps(document))

    def put(self, document: Document) -> None:
        """Write a document, in place of the batch's last."""
        self.store.put(document["id"] + META, orjson.dumps(document))

    def all(self) -> list[Document]:
        """Every document."""
        return self._read(self.store.names(META))

    def open(self) -> list[Document]:
        """Those of batches that are not over; the others are read once, and not kept for ever."""
        names = self.store.names(META)
        self._over.intersection_update(names)
        found = self._read(each for each in names if each not in self._over)
        self._over.update(each["id"] + META for each in found if each["status"] not in OPEN)
        self._drop_first(len(names) - KEPT_MAX)
        return [each for each in found if each["status"] in OPEN]

    def over(self, batches: Iterable[str]) -> list[str]:
        """Those of some batches that are over."""
        found = self._read(each + META for each in batches)
        return [each["id"] for each in found if each["status"] not in OPEN]

    def mark_cancelled(self, batch: str) -> None:
        """Have every gateway begin no more lines of a batch."""
        self.store.put(batch + CANCEL, b"")

    def is_cancelled(self, document: Document) -> bool:
        """Whether no more lines of a batch are to be begun."""
        is_marked = self.store.get(document["id"] + CANCEL) is not None
        return is_marked or document["status"] == "cancelling"

    def marked(self) -> set[str]:
        """The batches with a mark."""
        return {each.removesuffix(CANCEL) for each in self.store.names(CANCEL)}

    def unmark(self, batch: str) -> None:
        """Remove the mark of a batch that is over."""
        self.store.delete(batch + CANCEL)

    def _read(self, names: Iterable[str]) -> list[Document]:
        """The documents of these names that are still there."""
        found = (self.store.get(each) for each in names)
        return [orjson.loads(each) for each in found if each is not None]

    def _drop_first(self, count: int) -> None:
        if count > 0:
            for name in sorted(self._over, key=self.store.written_at)[:count]:
                self.store.delete(name)
