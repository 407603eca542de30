"""Opening one line: the supplier shows whose connection it is, and the gateway who takes it."""

import asyncio
import os
import ssl as tls
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from node.http import HttpClientError, Upgraded, UpgradeRefused, open_upgrade
from node.http.connector import AddressFilter
from relay_mining import (
    DIAL_PROOF_BYTES,
    DIAL_PROTOCOL,
    Address,
    DialOffer,
    Domain,
    Handshake,
    InvalidRelayError,
    Signer,
    decode_challenge,
)

SHOWN_BYTES = 300


class DialFailedError(Exception):
    """No line came about; `outcome` is one word for it."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Caller:
    """Dials in the name of one supplier."""

    supplier: Address
    domain: Domain
    number: Callable[[], int]
    """The running session."""
    signer_of: Callable[[int], Signer]
    """The operator on record in a session."""
    gateway_key: Callable[[Address, int], Awaitable[Address | None]]
    """The key a gateway signs with in a session; raises ChainError."""
    connect_s: float
    ssl: tls.SSLContext
    allow_address: AddressFilter | None = None

    async def dial(self, gateway: Address, url: str) -> Upgraded:
        """A connection on which this gateway sends relays; raises DialFailedError or ChainError."""
        number = self.number()
        key = await self.gateway_key(gateway, number)
        if key is None:
            raise DialFailedError("unknown", "the gateway has no key on record")
        offer = DialOffer(self.supplier, gateway, number, os.urandom(32))
        upgraded = await self._knock(url, offer)
        try:
            async with asyncio.timeout(self.connect_s):
                await self._shake(upgraded, offer, key)
        except BaseException as error:
            upgraded.transport.abort()
            if isinstance(error, HttpClientError | TimeoutError):
                raise DialFailedError("refused", f"our proof is not taken: {error}") from error
            raise
        return upgraded

    async def _knock(self, url: str, offer: DialOffer) -> Upgraded:
        header = (DIAL_PROTOCOL, offer.encode())
        try:
            return await open_upgrade(
                f"{url.rstrip('/')}/dial", DIAL_PROTOCOL, (header,), self.connect_s, self.ssl,
                self.allow_address,
            )  # fmt: skip
        except UpgradeRefused as refusal:
            why = refusal.body[:SHOWN_BYTES].decode("utf-8", "replace")
            raise DialFailedError("refused", f"status {refusal.status}: {why}") from refusal
        except HttpClientError as error:
            raise DialFailedError("unreachable", str(error)) from error

    async def _shake(self, upgraded: Upgraded, offer: DialOffer, key: Address) -> None:
        header = upgraded.headers.get(DIAL_PROTOCOL) or b""
        try:
            shake = Handshake(self.domain, offer, decode_challenge(header))
            upgraded.transport.write(shake.sign_dial(self.signer_of(offer.session)))
            taken_by = shake.taken_by(await upgraded.read(DIAL_PROOF_BYTES))
        except InvalidRelayError as error:
            raise DialFailedError("impostor", f"it does not speak as a gateway: {error}") from error
        if taken_by != key:
            raise DialFailedError("impostor", "it has not the gateway's key on record")
