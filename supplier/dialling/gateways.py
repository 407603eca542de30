"""Which gateways to dial: those that applications have funds behind, for a service served here."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from contracts import Market
from relay_mining import Address, Hash32

REREAD_BLOCKS = 64
"""Blocks read again each time: a reorganisation may have changed them."""


class GatewayFinder:
    """Follows the delegations of some services."""

    def __init__(
        self, market: Market, services: Sequence[Hash32], gateways_max: int,
        urls: Mapping[Address, Sequence[str]],
    ) -> None:  # fmt: skip
        self._market = market
        self._services = services
        self._gateways_max = gateways_max
        self._urls = urls
        self._next_block = market.book.deployment_block
        self._keys: dict[tuple[Address, int], Address | None] = {}
        self._made: dict[Hash32, set[tuple[Address, Address]]] = {each: set() for each in services}

    async def find(self, number: int, block: int) -> dict[str, Address]:
        """The URLs to dial in session `number`, as of a block, each with its gateway's id.

        Those with most covered funds come first, up to `gateways_max`; raises ChainError.
        """
        await self._read(block)
        funds = await self._weigh(number, block)
        chosen = [gateway for gateway, _ in funds.most_common(self._gateways_max)]
        found: dict[str, Address] = {}
        for gateway in chosen:
            for url in await self._locate(gateway):
                found[url] = gateway
        return found

    async def key(self, gateway: Address, number: int) -> Address | None:
        """The key a gateway signs with in a running session; raises ChainError."""
        if (gateway, number) not in self._keys:
            key = await self._market.registry.gateway_key(gateway, number)
            self._keys = {each: k for each, k in self._keys.items() if each[1] == number}
            self._keys[gateway, number] = key
        return self._keys[gateway, number]

    async def _read(self, block: int) -> None:
        first = max(self._market.book.deployment_block, self._next_block - REREAD_BLOCKS)
        for service in self._services:
            self._made[service] |= await self._market.escrow.delegations(service, first, block)
        self._next_block = block + 1

    async def _weigh(self, number: int, block: int) -> Counter[Address]:
        """By gateway: caps of this session or the next, none above its application's funds."""
        pairs = [(service, *pair) for service, made in self._made.items() for pair in made]
        covered = await asyncio.gather(
            *(self._covered(application, gateway, service, number, block)
              for service, application, gateway in pairs)
        )  # fmt: skip
        funds: Counter[Address] = Counter()
        for (_, _, gateway), amount in zip(pairs, covered, strict=True):
            if amount:
                funds[gateway] += amount
        return funds

    async def _covered(
        self, application: Address, gateway: Address, service: Hash32, number: int, block: int
    ) -> int:
        escrow = self._market.escrow
        account, now, upcoming = await asyncio.gather(
            escrow.account(application, block=block),
            escrow.delegation(application, gateway, service, number, block=block),
            escrow.delegation(application, gateway, service, number + 1, block=block),
        )
        return min(max(now.cap, upcoming.cap), account.balance - account.pending)

    async def _locate(self, gateway: Address) -> Sequence[str]:
        named = self._urls.get(gateway)
        if named is not None:
            return named
        url = await self._market.registry.gateway_url(gateway)
        return [url] if url else []
