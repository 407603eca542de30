"""Which gateways to dial: those that applications have funds behind, for a service served here."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts import Market
from relay_mining import Address, Hash32

LOOKUPS_MAX = 16
"""Delegations asked about at once."""
REREAD_BLOCKS = 64
"""Blocks read again each time: a reorganisation may have changed them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway, and a URL at which it, or one of its replicas, is dialled.

    Strangers register what they like, so a URL alone says nobody's name.
    """

    gateway: Address
    url: str


class GatewayFinder:
    """Follows the delegations of some services."""

    def __init__(
        self, market: Market, services: Sequence[Hash32], gateways_max: int,
        urls: Mapping[Address, Sequence[str]],
    ) -> None:  # fmt: skip
        self._market = market
        self._services = frozenset(services)
        self._gateways_max = gateways_max
        self._urls = urls
        self._next_block = market.book.deployment_block
        self._keys: dict[tuple[Address, int], Address | None] = {}
        self._made: set[tuple[Address, Address, Hash32]] = set()
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)

    async def find(self, number: int, block: int) -> tuple[Place, ...]:
        """Whom to dial in session `number`, as of a block.

        Gateways with most covered funds come first, up to `gateways_max`; raises ChainError.
        """
        await self._read(block)
        weights = await self._weigh(number, block)
        chosen = [gateway for gateway, _ in weights.most_common(self._gateways_max)]
        urls = [await self._locate(gateway) for gateway in chosen]
        places = zip(chosen, urls, strict=True)
        return tuple(Place(gateway, url) for gateway, found in places for url in found)

    async def key(self, gateway: Address, number: int) -> Address | None:
        """The key a gateway signs with in a running session; raises ChainError."""
        if (gateway, number) not in self._keys:
            key = await self._market.registry.gateway_key(gateway, number)
            self._keys = {each: k for each, k in self._keys.items() if each[1] == number}
            self._keys[gateway, number] = key
        return self._keys[gateway, number]

    async def _read(self, block: int) -> None:
        first = max(self._market.book.deployment_block, self._next_block - REREAD_BLOCKS)
        made = await self._market.escrow.delegated(first, block)
        self._made |= {each for each in made if each[2] in self._services}
        self._next_block = block + 1

    async def _weigh(self, number: int, block: int) -> Counter[Address]:
        """By gateway: the caps of this session or the next that their applications' funds cover.

        An application whose caps come to more than its funds has no valid session, and counts for
        nothing: a cap costs nothing, funds do.
        """
        made = sorted(self._made)
        applications = sorted({application for application, _, _ in made})
        caps = await asyncio.gather(*(self._cap(*each, number, block) for each in made))
        funds = await asyncio.gather(*(self._funds(each, block) for each in applications))
        spare = dict(zip(applications, funds, strict=True))
        for (application, _, _), cap in zip(made, caps, strict=True):
            spare[application] -= cap
        weights: Counter[Address] = Counter()
        for (application, gateway, _), cap in zip(made, caps, strict=True):
            if cap and spare[application] >= 0:
                weights[gateway] += cap
        return weights

    async def _cap(
        self, application: Address, gateway: Address, service: Hash32, number: int, block: int
    ) -> int:
        read = self._market.escrow.delegation
        async with self._lookups:
            now = await read(application, gateway, service, number, block=block)
            upcoming = await read(application, gateway, service, number + 1, block=block)
        return max(now.cap, upcoming.cap)

    async def _funds(self, application: Address, block: int) -> int:
        async with self._lookups:
            account = await self._market.escrow.account(application, block=block)
        return account.balance - account.pending

    async def _locate(self, gateway: Address) -> Sequence[str]:
        named = self._urls.get(gateway)
        if named is not None:
            return named
        url = await self._market.registry.gateway_url(gateway)
        return [url] if url else []
