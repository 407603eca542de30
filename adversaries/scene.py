"""The market as a scripted adversary finds it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from contracts import Market
from relay_mining import Address, Hash32, SessionKey

POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Scene:
    """Addresses of honest nodes, and what the adversaries own: keys with gas, an API key."""

    rpc: str
    book: Path
    service: Hash32
    model: str
    payer: Address
    """The honest gateway and its application, of one address."""
    suppliers: tuple[Address, ...]
    """Honest ones; the first one's operator turns out to be a thief."""
    operator_key: bytes
    base_url: str
    """Of the honest gateway, with `/v1`."""
    api_key: str
    keys: tuple[bytes, ...]
    """Of accounts with gas that nobody else uses."""

    def session(self, number: int) -> SessionKey:
        """A session of the honest gateway."""
        return SessionKey(self.payer, self.payer, self.service, number)


async def wait_block(market: Market, block: int) -> int:
    """The newest block's number once `block` is there; whoever calls has a deadline."""
    while True:
        height = (await market.chain.head()).number
        if height >= block:
            return height
        await asyncio.sleep(POLL_S)
