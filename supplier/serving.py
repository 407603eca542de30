"""One relay being served: what was asked, how it is stopped, and how it is signed off."""

import asyncio
from dataclasses import dataclass, field

from relay_mining import (
    BodyHasher,
    Domain,
    Hash32,
    RelayResponse,
    SignedResponse,
    Signer,
    Status,
)
from supplier.books import Books, Relay, SessionBook
from supplier.usage import Usage

NOTHING = Usage()


@dataclass(slots=True)
class OpenRelay:
    """An admitted relay and the task that talks to the engine for it."""

    book: SessionBook
    relay: Relay
    prompt_tokens: int
    task: asyncio.Task[None] | None = None
    is_stopped: bool = False
    """Whether the client left: a Cancel came, or the connection went."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Stop the engine at once."""
        self.is_stopped = True
        if self.task is not None:
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a relay ended; `tokens` count only where the status is one that is paid."""

    status: Status
    tokens: Usage


PAID = frozenset({Status.OK, Status.LENGTH, Status.CLIENT_ABORT})


class SignOff:
    """Signs what was served and enters it in the books, once for each relay."""

    def __init__(self, books: Books, domain: Domain, signer: Signer) -> None:
        self._books = books
        self._domain = domain
        self._signer = signer

    def sign(self, open_relay: OpenRelay, outcome: Outcome, body_hash: Hash32) -> SignedResponse:
        """The signed response for a body; units never exceed what the request allowed."""
        book, relay = open_relay.book, open_relay.relay
        tokens = outcome.tokens if outcome.status in PAID else NOTHING
        served = outcome.status in PAID and tokens != NOTHING
        units = min(tokens.units(book.facts.weights), relay.max_units) if served else 0
        response = RelayResponse(
            request_hash=relay.request_hash,
            body_hash=body_hash,
            salt_hash=book.salt_hash,
            input_tokens=tokens.input,
            cached_tokens=tokens.cached,
            output_tokens=tokens.output,
            units=units,
            status=outcome.status,
            service_spec_hash=book.facts.spec_hash,
        )
        digest = self._domain.digest(response)
        self._books.respond(book, relay, digest, units)
        return SignedResponse(response, self._signer.sign(digest))

    def sign_body(self, open_relay: OpenRelay, outcome: Outcome, body: bytes) -> SignedResponse:
        """The signed response for a whole body."""
        return self.sign(open_relay, outcome, BodyHasher(body).digest())

    def abandon(self, open_relay: OpenRelay) -> None:
        """Give back what a relay that ends without any answer had reserved."""
        book, relay = open_relay.book, open_relay.relay
        if relay.response_hash is None:
            self._books.respond(book, relay, bytes(32), 0)
