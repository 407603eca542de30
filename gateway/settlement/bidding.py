"""A gateway's bids in the epoch auctions of services, and the caps that what they won allows."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts import ChainError, Market, OrderSide, OrderTerms, TxSender
from contracts.trading import AuctionTrader, Clearer, SealedOrders, each_head
from gateway.settings import AuctionSettings
from node.settings import parse_hex
from relay_mining import AMOUNT_MAX, Address, Hash32, SessionKey

logger = logging.getLogger("gateway.settlement.bidding")

ORDERS_FILE = "orders.json"


@dataclass(slots=True)
class Bidder:
    """Bids for an application, clears where told to, and fits the caps of sessions to come."""

    market: Market
    sender: TxSender
    """Of the application, which pays for what it wins."""
    gateway: Address
    trader: AuctionTrader
    clearer: Clearer

    async def run(self, poll_s: float) -> None:
        """Bid and clear until cancelled; at once done where the settings name no service."""
        if self.trader.wishes or self.clearer.services:
            async for _ in each_head(self.market.chain, poll_s):
                await self.step()

    async def step(self) -> None:
        """Do what is due now."""
        await self.trader.step()
        await self.clearer.step()
        await asyncio.gather(*map(self._fit_cap, self.trader.wishes))

    async def _fit_cap(self, service: Hash32) -> None:
        """Fit a cap, or say why not."""
        try:
            await self._set_cap(service)
        except ChainError as error:
            logger.warning("a cap is not fitted", extra={"service": service, "why": str(error)})

    async def _set_cap(self, service: Hash32) -> None:
        """Make the next session's cap what its epoch's round allotted.

        What exceeds the allotment does not count, but funds have to cover it. A session without an
        allotment is served by nobody, whatever its cap, and a cap of 0 would cost the fee of a new
        delegation later.
        """
        clock, head = await self.market.sessions.clock(), await self.market.chain.head()
        if head.number < clock.genesis_block:
            return
        number = clock.session_at(head.number) + 1
        me = self.sender.address
        read = self.market.escrow.delegation
        allotted = await self.market.sessions.allotment(
            SessionKey(me, self.gateway, service, number)
        )
        now = await read(me, self.gateway, service, number)
        if now.cap in (0, allotted) or allotted in (0, AMOUNT_MAX):
            return
        await self.sender.send(
            self.market.escrow.delegate(self.gateway, service, allotted, now.fee_bps)
        )
        logger.info("a cap is fitted", extra={"service": service, "cap": allotted})


def open_bidder(
    settings: AuctionSettings, market: Market, sender: TxSender, gateway: Address, data_dir: Path
) -> Bidder:
    """Bids what the settings say, round after round."""
    trader = AuctionTrader(
        market, sender, OrderSide.BID, sender.address, read_bids(settings, gateway),
        SealedOrders(data_dir / ORDERS_FILE),
    )  # fmt: skip
    services = [parse_hex("auction.clears", each, 32) for each in settings.clears]
    return Bidder(market, sender, gateway, trader, Clearer(market, sender, services))


def read_bids(settings: AuctionSettings, gateway: Address) -> Mapping[Hash32, OrderTerms]:
    """What to bid for each service."""
    return {
        parse_hex("auction.bids", service, 32): OrderTerms(each.price, each.quantity, gateway)
        for service, each in settings.bids.items()
    }
