"""Handing bundles to watchtowers, in a thread of their own: a folder that hangs delays no claim."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from relay_mining import Address, Hash32, MinedReceipt
from supplier.metrics import Metrics
from supplier.mining.bundles import BundleFolder
from supplier.mining.session_book import SessionBook

log = logging.getLogger(__name__)

DEADLINE_S = 5.0
"""For everything that one claim transaction hands out."""


class HandOut:
    """Writes and removes bundles one at a time; gives up on what does not end in time.

    What was given up goes on in its thread, which holds up no end of the process. Until it is over
    everything else is refused at once, so one thread at most hangs, and nothing overtakes it.
    """

    def __init__(
        self, folder: BundleFolder, metrics: Metrics, deadline_s: float = DEADLINE_S
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._turn = asyncio.Lock()
        self._last: Future[None] | None = None

    async def write(self, claimed: Iterable[tuple[SessionBook, Iterable[MinedReceipt]]]) -> None:
        """Put what a claim is to be proved from in its place; a failure is counted and said."""
        until = self._deadline()
        for book, receipts in claimed:
            try:
                await self._do(self._writing(book, receipts), until)
            except OSError as error:
                self._metrics.actions.labels("WriteBundle", "failed").inc()
                log.warning("no bundle for watchtowers: %s", _say(error))
            else:
                self._metrics.actions.labels("WriteBundle", "done").inc()

    async def remove(self, supplier: Address, session_id: Hash32) -> None:
        """Take a bundle back that nobody needs; one that cannot be removed does no harm."""
        try:
            await self._do(lambda: self._folder.remove(supplier, session_id), self._deadline())
        except OSError as error:
            log.warning("a bundle is left behind: %s", _say(error))

    def _writing(self, book: SessionBook, receipts: Iterable[MinedReceipt]) -> Callable[[], None]:
        facts, salt, claims = book.facts, book.salt, list(book.claims)
        return lambda: self._folder.write(facts, salt, receipts, claims)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._deadline_s

    async def _do(self, work: Callable[[], None], until: float) -> None:
        """Do it in its turn, by the loop's clock before `until`; raises OSError."""
        async with asyncio.timeout_at(until), self._turn:
            if self._last is not None and not self._last.done():
                raise TimeoutError("the folder of bundles still hangs")
            if asyncio.get_running_loop().time() >= until:
                raise TimeoutError("there was no time left for it")
            self._last = _start(work)
            await asyncio.wrap_future(self._last)


def _start(work: Callable[[], None]) -> "Future[None]":
    """What comes of `work`, in a thread that the process does not wait for at its end."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()  # whoever gives up waiting does not end it

    def run() -> None:
        try:
            work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="bundles", daemon=True).start()
    return future


def _say(error: OSError) -> str:
    return str(error) or "the folder of bundles hangs"
