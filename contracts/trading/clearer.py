"""Clearing the rounds of services: proposed with proof, defended, published, bond taken back."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.auction_values import (
    AuctionWindows,
    ClearingKey,
    OrderSide,
)
from contracts.events import decode_log, read_logs
from contracts.market import Market
from contracts.trading.deeds import Stage, due_clearing
from contracts.trading.heads import each_head
from contracts.trading.rounds import in_each_round
from contracts.transactions import TxSender
from pricing import ClearingTrees, verify_clearing
from relay_mining import Address, Hash32, RosterEntry

logger = logging.getLogger("contracts.trading")

NO_CLEARING = bytes(32)


@dataclass(slots=True)
class Clearer:
    """Clears the rounds of some services with its own bond; `step` does what is due at the head."""

    market: Market
    sender: TxSender
    services: Sequence[Hash32]
    _trees: dict[tuple[Hash32, int], ClearingTrees] = field(default_factory=dict)
    """Of the rounds whose orders are all revealed."""

    async def run(self, poll_s: float) -> None:
        """Clear until cancelled; what the chain refuses is logged, and tried again."""
        if self.services:
            async for _ in each_head(self.market.chain, poll_s):
                await self.step()

    async def step(self) -> None:
        """Do what is due of every round now."""
        oldest = await in_each_round(self.market, self.services, self._advance)
        self._trees = {at: each for at, each in self._trees.items() if at[1] >= oldest}

    async def _advance(
        self, service: Hash32, epoch: int, windows: AuctionWindows, block: int
    ) -> None:
        if block < windows.clear_from:
            return
        auction = self.market.auction
        found = await auction.round(service, epoch)
        clock = await self.market.sessions.clock()
        if clock.epoch_of(clock.session_at(block)) > epoch:
            if found.submitter == self.sender.address and found.charges:
                await self.sender.send(auction.pay_charges(service, epoch))
                await self._collect()
            return
        trees = self._trees.get((service, epoch)) or await auction.trees(service, epoch)
        if trees is None:
            return
        self._trees[service, epoch] = trees
        if not trees.prove().sales:
            return  # nobody to serve, or nobody served: the roster is inherited
        key = auction.clearing_key(service, epoch, self.sender.address, trees)
        kept = await auction.clearing(key)
        if kept.is_defeated:
            return
        is_submitted = kept.entries_hash != NO_CLEARING
        stage = due_clearing(windows, block, is_submitted, found.is_cleared)
        if stage is not None:
            await self._act(stage, key, trees, windows)

    async def _act(
        self, stage: Stage, key: ClearingKey, trees: ClearingTrees, windows: AuctionWindows
    ) -> None:
        auction = self.market.auction
        if stage is Stage.SUBMIT:
            bond = (await auction.terms()).clearing_bond
            await self.sender.send(self.market.token.approve(self.market.book.auction, bond))
            await self.sender.send(auction.submit_clearing(key, trees.prove()))
        elif stage is Stage.RELEASE:
            await self.sender.send(auction.release_bond(key))
            await self._take_stakes(key, windows)
        else:
            for side, trader in await self._demanded(key, windows, "DemandLeaf"):
                opening = (
                    trees.open_ask(trader) if side is OrderSide.ASK else trees.open_bid(trader)
                )
                await self.sender.send(auction.show_leaf(key, side, trader, opening))
            if stage is Stage.DEFEND:
                return
            entries = await self._entries(key, trees)
            await self.sender.send(auction.publish(key, entries))
            await self._take_stakes(key, windows)
        logger.info("a round: %s", stage.value, extra={"epoch": key.epoch})

    async def _entries(self, key: ClearingKey, trees: ClearingTrees) -> tuple[RosterEntry, ...]:
        """The roster of a clearing, as the contract computed it from the proof."""
        book = await self.market.auction.book(key.service, key.epoch)
        asks = {ask.trader: ask for ask in book.asks}
        lines = verify_clearing(trees.procurement, asks, trees.prove())
        return tuple(RosterEntry(each.supplier, each.unit_price, each.units) for each in lines)

    async def _take_stakes(self, key: ClearingKey, windows: AuctionWindows) -> None:
        """Have the stakes of the leaves that were shown, now that the clearing has stood."""
        for side, trader in await self._demanded(key, windows, "ShowLeaf"):
            await self.sender.send(self.market.auction.end_demand(key, side, trader))
        await self._collect()

    async def _collect(self) -> None:
        await self.sender.send(self.market.auction.collect_for(self.sender.address))

    async def _demanded(
        self, key: ClearingKey, windows: AuctionWindows, last: str
    ) -> list[tuple[OrderSide, Address]]:
        """The leaves of a clearing of which `last` was the last that happened."""
        auction, chain = self.market.auction, self.market.chain
        head = await chain.head()
        happened: dict[tuple[OrderSide, Address], str] = {}
        for log in await read_logs(chain, [auction.address], windows.clear_from, head.number):
            event = decode_log("auction", auction.abi, log)
            if event is None or event.values.get("clearingId") != key.id:
                continue
            if event.name in ("DemandLeaf", "ShowLeaf"):
                leaf = OrderSide(event.values["side"]), event.values["trader"]
                happened[leaf] = event.name
        return [leaf for leaf, name in happened.items() if name == last]
