"""One relay being served: what was asked, how it is stopped, and how it is signed off."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from relay_mining import (
    Domain,
    Hash32,
    RelayResponse,
    SignedResponse,
    Signer,
    Status,
)
from supplier.mining.books import Books
from supplier.mining.receipt_log import Log
from supplier.mining.records import Served
from supplier.mining.session_book import SessionBook
from supplier.server.accounts import Relay
from supplier.server.scheduling import Priority
from supplier.server.usage import Usage

NOTHING = Usage()

SignerOf = Callable[[int], Signer]
"""Who signs for a session number."""


@dataclass(slots=True)
class OpenRelay:
    """An admitted relay and the task that talks to the engine for it."""

    book: SessionBook
    relay: Relay
    prompt_tokens: int
    priority: Priority = Priority.INTERACTIVE
    output_tokens_max: int = 0
    """What its answers may come to together."""
    part: Usage = NOTHING
    """Tokens of the newest signed part."""
    task: asyncio.Task[None] | None = None
    is_stopped: bool = False
    """Whether the client left: a Cancel came, or the connection went."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    receipted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a part is receipted."""

    def __post_init__(self) -> None:
        self.relay.on_receipt = self.receipted.set

    def stop(self) -> None:
        """Stop the engine at once."""
        self.is_stopped = True
        if self.task is not None:
            self.task.cancel()

    def let_go(self) -> None:
        """Keep nothing of the exchange: a task that was cut off holds its frames, and they all."""
        if self.task is not None:
            self.task.cancel()
            self.task = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a relay ended; `tokens` count only where the status is one that is paid."""

    status: Status
    tokens: Usage


PAID = frozenset({Status.OK, Status.LENGTH, Status.CLIENT_ABORT, Status.REFUSED})
"""A stream that is refused on the way is paid as far as it went; other refusals serve nothing."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed response as it is entered in the books."""

    message: SignedResponse
    digest: Hash32
    added: int
    """Units that it adds to the part before."""


class SignOff:
    """Signs what was served and enters it in the books, part by part."""

    def __init__(self, books: Books, domain: Domain, signer_of: SignerOf, receipt_log: Log) -> None:
        self._books = books
        self._log = receipt_log
        self._domain = domain
        self._signer_of = signer_of

    def sign(self, open_relay: OpenRelay, outcome: Outcome, body_hash: Hash32) -> Signed:
        """The last response for a body; its counts are never below those of the parts before."""
        tokens = outcome.tokens if outcome.status in PAID else NOTHING
        units = 0 if tokens == NOTHING else self._units(open_relay, tokens)
        part = open_relay.part
        if units < open_relay.relay.signed_units or tokens.output < part.output:
            tokens, units = part, open_relay.relay.signed_units
        signed = self._sign(open_relay, outcome.status, tokens, units, body_hash)
        self._books.end(open_relay.book, open_relay.relay)
        return signed

    def sign_part(self, open_relay: OpenRelay, tokens: Usage, body_hash: Hash32) -> Signed:
        """The response for a stream so far, which goes on."""
        open_relay.part = low = counted_low(tokens)
        units = self._units(open_relay, low)
        return self._sign(open_relay, Status.PARTIAL, low, units, body_hash)

    def abandon(self, open_relay: OpenRelay) -> None:
        """Give back what a relay that ends without any answer had reserved."""
        self._books.end(open_relay.book, open_relay.relay)

    @staticmethod
    def _units(open_relay: OpenRelay, tokens: Usage) -> int:
        """Units never exceed what the request allowed."""
        return min(tokens.units(open_relay.book.facts.weights), open_relay.relay.max_units)

    def _sign(
        self, open_relay: OpenRelay, status: Status, tokens: Usage, units: int, body_hash: Hash32
    ) -> Signed:
        book, relay = open_relay.book, open_relay.relay
        response = RelayResponse(
            request_hash=relay.request_hash,
            body_hash=body_hash,
            salt_hash=book.salt_hash,
            input_tokens=tokens.input,
            cached_tokens=tokens.cached,
            output_tokens=tokens.output,
            units=units,
            status=status,
            service_spec_hash=book.facts.spec_hash,
            part=relay.signed_parts,
        )
        digest = self._domain.digest(response)
        added = self._books.sign(book, relay, digest, units)
        if added:
            served = Served(book.session_id, relay.request_hash, digest, added, relay.engine)
            self._log.note(served)
        return Signed(
            SignedResponse(response, self._signer_of(book.key.number).sign(digest)), digest, added
        )


def counted_low(tokens: Usage) -> Usage:
    """The least the prompt can count: all cached, since an engine says so only at the end."""
    return Usage(tokens.input, tokens.input, tokens.output)
