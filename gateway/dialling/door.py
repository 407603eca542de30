"""`GET /v1/dial`: a supplier offers a connection, and is challenged to show that it is its own."""

import asyncio
import os
from typing import Protocol

from contracts.errors import ChainError
from gateway.dialling.greeter import Greeter, Lobby
from gateway.errors import DialBusyError, DialRefusedError, InvalidParameterError
from gateway.routing.relaying import Call
from gateway.settlement.delivery import SupplierAddress
from node.http import Headers, Upgrade
from relay_mining import (
    DIAL_PROTOCOL,
    Address,
    DialOffer,
    Domain,
    Handshake,
    MalformedError,
    Signer,
    encode_challenge,
)

DIAL_PATH = b"/v1/dial"
"""Under the URL that a gateway registers, which ends in `/v1`."""
LOOKUPS_MAX = 8
"""Suppliers whose keys are asked for at once; the chain says each once a session."""
SESSIONS_APART = 1
"""The two sides see the chain's head at different moments."""


class Sessions(Protocol):
    """What is known of suppliers and sessions; see `Directory`."""

    @property
    def domain(self) -> Domain:
        """What is signed in."""

    @property
    def gateway(self) -> Address:
        """Who this gateway is."""

    @property
    def number(self) -> int:
        """The session being served."""

    def is_listed(self, supplier: Address) -> bool:
        """Whether a supplier may be drawn."""

    async def locate(self, supplier: Address, number: int) -> SupplierAddress:
        """Its URL and operator."""

    async def signer_of(self, number: int) -> Signer:
        """The gateway's own."""


class Door:
    """Lets in suppliers of the rosters that this gateway draws from, each by its operator's key."""

    def __init__(self, sessions: Sessions, lobby: Lobby) -> None:
        self._sessions = sessions
        self._lobby = lobby
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)

    async def answer(self, call: Call, path: bytes) -> Upgrade:
        """The challenge; raises DialRefusedError, DialBusyError or InvalidParameterError."""
        try:
            offer = _read_offer(call.headers)
            self._require_welcome(offer)
            operators, signer = await self._find_keys(offer)
        except (DialRefusedError, DialBusyError, InvalidParameterError) as error:
            self._lobby.count(error.code)
            raise
        shake = Handshake(self._sessions.domain, offer, os.urandom(32))
        challenge = (DIAL_PROTOCOL, encode_challenge(shake.gateway_nonce))
        return Upgrade(
            DIAL_PROTOCOL, lambda: Greeter(shake, operators, signer, self._lobby), (challenge,)
        )

    def _require_welcome(self, offer: DialOffer) -> None:
        """Refuse what can be refused without asking the chain."""
        number, gateway = self._sessions.number, self._sessions.gateway
        if offer.gateway != gateway:
            raise DialRefusedError(f"this is the gateway 0x{gateway.hex()}")
        if number < 0:
            raise DialBusyError("this gateway has not seen the chain yet")
        if abs(offer.session - number) > SESSIONS_APART:
            raise DialRefusedError(f"session {number} is running, not {offer.session}")
        if not self._sessions.is_listed(offer.supplier):
            raise DialRefusedError("the supplier is in no roster that this gateway draws from")
        if not self._lobby.lines.has_room(offer.supplier.hex()):
            raise DialBusyError("the supplier has as many lines as it may, or the gateway has")

    async def _find_keys(self, offer: DialOffer) -> tuple[frozenset[Address], Signer]:
        try:
            async with self._lookups:
                place = await self._sessions.locate(offer.supplier, offer.session)
                signer = await self._sessions.signer_of(offer.session)
        except ChainError as error:
            raise DialBusyError("the chain does not answer") from error
        if not place.dials_out:
            raise DialRefusedError("the URL on record for the supplier is not `dial:`")
        return place.operators, signer


def _read_offer(headers: Headers) -> DialOffer:
    found = headers.get_all(DIAL_PROTOCOL)
    if len(found) != 1 or headers.get(b"upgrade") != DIAL_PROTOCOL:
        raise InvalidParameterError("a dial is an upgrade with one lode-dial header")
    try:
        return DialOffer.decode(found[0])
    except MalformedError as error:
        raise InvalidParameterError(f"the lode-dial header does not parse: {error}") from error
