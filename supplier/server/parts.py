"""The parts of one stream: when one is due, and whether its gateway's receipts let it go on.

A part is signed once enough was sent since the one before and the stream goes on; not before the
one before is receipted, so that at most a signed part and the one being streamed are ever at risk.
An honest gateway's receipts come long before; one whose receipt is overdue has no credit left.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from supplier.mining.books import Books
from supplier.server.serving import OpenRelay, counted_low
from supplier.server.usage import Usage


class Parts:
    """Decides for one open relay; `clock` is Unix time in seconds."""

    def __init__(self, open_relay: OpenRelay, books: Books, clock: Callable[[], float]) -> None:
        self._open_relay = open_relay
        self._books = books
        self._clock = clock

    def is_due(self, sent: Usage) -> bool:
        """Whether a stream that has come as far as `sent`, and goes on, is to be signed."""
        relay = self._open_relay.relay
        if not relay.may_be_cut or sent.output <= self._open_relay.part.output:
            return False
        units = counted_low(sent).units(self._open_relay.book.facts.weights)
        return relay.signed_units + relay.plan.spacing <= units < relay.max_units

    async def may_go_on(self) -> bool:
        """Wait until every part is receipted; False once one is overdue or its session sealed."""
        open_relay, book = self._open_relay, self._open_relay.book
        while open_relay.relay.parts and not book.is_sealed:
            left = self._books.receipt_due_in(book, open_relay.relay, self._clock())
            if left <= 0:
                return False
            open_relay.receipted.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(open_relay.receipted.wait(), left)
        return not book.is_sealed
