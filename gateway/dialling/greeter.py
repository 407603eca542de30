"""The seconds between the challenge and the proof: few, bounded, and ended by either side."""

import asyncio
from collections.abc import Callable
from typing import cast

from node.http import Lines
from relay_mining import (
    DIAL_PROOF_BYTES,
    Address,
    Handshake,
    SignatureMismatchError,
    Signer,
)


class Lobby:
    """Who has been challenged and has not answered; of too many the one that waits longest goes.

    So a flood of strangers keeps nobody out who answers faster than it fills the lobby.
    """

    def __init__(
        self, lines: Lines, waiting_max: int, wait_s: float, count: Callable[[str], None]
    ) -> None:
        self.lines = lines
        self.wait_s = wait_s
        self.count = count
        self._waiting_max = waiting_max
        self._waiting: dict[Greeter, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, greeter: "Greeter") -> None:
        """Have one more wait."""
        self._waiting[greeter] = None
        if len(self._waiting) > self._waiting_max:
            next(iter(self._waiting)).end("crowded_out")

    def leave(self, greeter: "Greeter") -> None:
        """Forget one."""
        self._waiting.pop(greeter, None)


class Greeter(asyncio.Protocol):
    """Has a socket until its supplier has shown who it is; then the socket is a line."""

    def __init__(
        self, shake: Handshake, operators: frozenset[Address], signer: Signer, lobby: Lobby
    ) -> None:
        self._shake = shake
        self._operators = operators
        self._signer = signer
        self._lobby = lobby
        self._proof = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the proof."""
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._lobby.wait_s, self.end, "timed_out")
        self._lobby.enter(self)

    def data_received(self, data: bytes) -> None:
        """Judge the proof once it is whole; more than a proof is none."""
        self._proof += data
        if len(self._proof) >= DIAL_PROOF_BYTES:
            self._judge()

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever dialled has left."""
        self._leave()

    def end(self, outcome: str) -> None:
        """Turn it away."""
        self._leave()
        self._lobby.count(outcome)
        self._transport.abort()

    def _judge(self) -> None:
        try:
            operator = self._shake.dialled_by(self._proof)
        except SignatureMismatchError:
            operator = None
        if operator is None or operator not in self._operators:
            self.end("wrong_key")
            return
        name, lines = self._shake.offer.supplier.hex(), self._lobby.lines
        if not lines.has_room(name):
            self.end("no_room")
            return
        self._leave()
        self._transport.write(self._shake.sign_taken(self._signer))
        lines.add(name, operator, self._transport)
        self._lobby.count("taken")

    def _leave(self) -> None:
        self._timer.cancel()
        self._lobby.leave(self)
