"""One trader's orders in every round of its services: committed, revealed, settled, collected."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from contracts.auction_values import (
    AuctionWindows,
    OrderKey,
    OrderSide,
    OrderTerms,
    SealedOrder,
    backed_quantity,
)
from contracts.errors import ChainError
from contracts.market import Market
from contracts.trading.deeds import Deed, due_deed
from contracts.trading.heads import each_head
from contracts.trading.rounds import in_each_round
from contracts.trading.sealed_orders import SealedOrders
from contracts.transactions import Sender
from pricing import Opening, reserve_at
from relay_mining import Address, Hash32

logger = logging.getLogger("contracts.trading")


@dataclass(slots=True)
class AuctionTrader:
    """Trades for one supplier or one application; `step` does what is due at the head."""

    market: Market
    sender: Sender
    side: OrderSide
    trader: Address
    wishes: Mapping[Hash32, OrderTerms]
    """What to order of each service in every round."""
    orders: SealedOrders
    draw: Callable[[int], bytes] = os.urandom
    _payers: set[Address] = field(default_factory=set)
    """Who may have a deposit to collect."""
    _pledged: int = 0
    """Deposits that are being put down: what is approved has to cover them together."""
    _approving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, poll_s: float) -> None:
        """Trade until cancelled; what the chain refuses is logged, and tried again."""
        if self.wishes:
            async for _ in each_head(self.market.chain, poll_s):
                await self.step()

    async def step(self) -> None:
        """Do what is due of every order now, of all services at once: windows are short."""
        oldest = await asyncio.gather(
            *(in_each_round(self.market, (each,), self._advance) for each in self.wishes)
        )
        self.orders.forget_before(min(oldest, default=0))
        await self._collect()

    async def _advance(
        self, service: Hash32, epoch: int, windows: AuctionWindows, block: int
    ) -> None:
        auction = self.market.auction
        key = OrderKey(service, epoch, self.side, self.trader)
        order = await auction.order(key)
        if due_deed(self.side, windows, block, order.state, is_cleared=True) is None:
            return
        found = await auction.round(service, epoch)
        deed = due_deed(self.side, windows, block, order.state, found.is_cleared)
        if deed is Deed.COMMIT:
            await self._commit(key, found.price)
        elif deed is not None:
            await self._finish(key, deed)
            self._payers.add(order.payer)

    async def _commit(self, key: OrderKey, price: int) -> None:
        """Commit where the market is open, and a bid where it accepts the posted price."""
        wish = self.wishes[key.service]
        is_bid = self.side is OrderSide.BID
        if price == 0 or (is_bid and wish.price < price):
            return
        terms = await self.market.auction.terms()
        sealed = self.orders.find(key)
        if sealed is None:
            if not is_bid:
                most = await self._backed(key, reserve_at(price, terms.fee_bps))
                wish = replace(wish, quantity=min(wish.quantity, most))
            if wish.quantity == 0:
                _tell("nothing is asked: the stake backs no unit", key)
                return
            sealed = SealedOrder(key, wish, self.draw(32))
            self.orders.keep(sealed)
        bond = terms.order_bond
        deposit = max(bond, price * sealed.terms.quantity) if is_bid else bond
        self._pledged += deposit
        try:
            async with self._approving:
                await self._approve(self._pledged)
            await self.sender.send(self.market.auction.commit(sealed, deposit))
        finally:
            self._pledged -= deposit
        _tell("an order is committed", key)

    async def _backed(self, key: OrderKey, reserve: int) -> int:
        """The units that the supplier's stake backs, an equal part of it for each service."""
        account, params, clock = await asyncio.gather(
            self.market.registry.supplier(self.trader),
            self.market.parameters.values(key.epoch),
            self.market.sessions.clock(),
        )
        stake = (account.stake - account.unstaking) // len(self.wishes)
        return backed_quantity(stake, reserve, clock, params.bond_ratio_max)

    async def _finish(self, key: OrderKey, deed: Deed) -> None:
        auction = self.market.auction
        if deed is Deed.REVEAL:
            sealed = self.orders.find(key)
            if sealed is None:
                _tell("an order cannot be revealed: it is not kept here", key)
                return
            await self.sender.send(auction.reveal(sealed))
        elif deed is Deed.FORFEIT:
            await self.sender.send(auction.forfeit(key))
        else:
            opening = await self._open_bid(key)
            await self.sender.send(auction.settle_bid(key.service, key.epoch, key.trader, opening))
        _tell(f"an order is done with: {deed.value}", key)

    async def _open_bid(self, key: OrderKey) -> Opening:
        """The leaf of a bid, where not all demand was met; an empty one is enough elsewhere."""
        found = await self.market.auction.round(key.service, key.epoch)
        if not found.is_cleared or found.procured in (0, found.demand):
            return Opening()
        trees = await self.market.auction.trees(key.service, key.epoch)
        return Opening() if trees is None else trees.open_bid(key.trader)

    async def _approve(self, amount: int) -> None:
        token, spender = self.market.token, self.market.book.auction
        if await token.allowance(self.sender.address, spender) < amount:
            await self.sender.send(token.approve(spender, amount))

    async def _collect(self) -> None:
        """Have what came back paid out to whoever put it down, once for all that was done."""
        for payer in tuple(self._payers):
            try:
                if await self.market.auction.claimable(payer) > 0:
                    await self.sender.send(self.market.auction.collect_for(payer))
            except ChainError as error:
                logger.warning("a deposit is not collected yet", extra={"why": str(error)})
                return
            self._payers.discard(payer)


def _tell(what: str, key: OrderKey) -> None:
    logger.info(what, extra={"service": key.service, "epoch": key.epoch})
