"""What adversaries that lie to the gateway share: a note of honest work, and a lying engine."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from node.http import ClientPool, ClientResponse, ClientStream
from relay_mining import Hash32
from supplier.server.relays import RelayServer
from supplier.server.serving import NOTHING, PAID, OpenRelay, Outcome, Signed
from supplier.server.usage import Usage

log = logging.getLogger("adversaries")

HONEST_EVENT = "cheated"
"""A log line for every relay; its `honest_units` are what the work that was done is worth."""


class CheatingRelays(RelayServer):
    """Serves as every supplier does, and notes what of it was work."""

    def sign(self, open_relay: OpenRelay, outcome: Outcome, body_hash: Hash32) -> Signed:
        """Sign what is to be signed, next to a note of what was done."""
        done = self.work(outcome) if outcome.status in PAID else NOTHING
        units = 0 if done == NOTHING else done.units(open_relay.book.facts.weights)
        signed = super().sign(open_relay, self.told(outcome), body_hash)
        log.info(
            HONEST_EVENT,
            extra={
                "honest_units": min(units, open_relay.relay.max_units),
                "signed_units": signed.message.response.units,
            },
        )
        return signed

    def work(self, outcome: Outcome) -> Usage:
        """The tokens that were really computed."""
        return outcome.tokens

    def told(self, outcome: Outcome) -> Outcome:
        """What the gateway is told."""
        return outcome


class LyingPool(ClientPool):
    """The way to the engine through an honest pool; subclasses alter what comes back.

    It owns no connection: the pool it goes through opens and closes them.
    """

    def __init__(self, honest: ClientPool) -> None:
        self.honest = honest
        self.limits = honest.limits

    async def request(self, *arguments: Any, **options: Any) -> ClientResponse:
        """The engine's whole answer."""
        return await self.honest.request(*arguments, **options)

    @asynccontextmanager
    async def stream(self, *arguments: Any, **options: Any) -> AsyncIterator[ClientStream]:
        """The engine's stream."""
        async with self.honest.stream(*arguments, **options) as stream:
            yield stream
