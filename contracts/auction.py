"""The epoch auction: sealed orders in, the next epoch's roster out."""

from typing import cast

from contracts.auction_values import (
    AuctionClearing,
    AuctionOrder,
    AuctionTerms,
    AuctionWindows,
    ClearingKey,
    OrderKey,
    OrderSide,
    OrderState,
    RevealedOrder,
    Round,
    SealedOrder,
    encode_entries,
    encode_opening,
    encode_proof,
)
from contracts.chain import Call
from contracts.client import ContractClient
from contracts.events import decode_log, read_logs
from pricing import Book, ClearingProof, ClearingTrees, Opening, Order
from relay_mining import Address, Hash32, RosterEntry

NO_SEED = bytes(32)


class Auction(ContractClient):
    """The contract `Auction`, the market of every service that names its address."""

    CONTRACT = "Auction"

    async def terms(self) -> AuctionTerms:
        """The bonds and the fee, which never change."""
        return AuctionTerms(*await self._read_one("terms", block=None))

    async def windows(self, epoch: int) -> AuctionWindows:
        """The contract's word on a round's windows; `compute_windows` tells them from a clock."""
        return AuctionWindows(*await self._read_one("windowsOf", epoch, block=None))

    async def round(self, service: Hash32, epoch: int, *, block: int | None = None) -> Round:
        """A round as far as it has come; its price as soon as that is known, 0 for no market."""
        return Round(*await self._read_one("roundOf", service, epoch, block=block))

    async def suppliers(
        self, service: Hash32, epoch: int, *, block: int | None = None
    ) -> tuple[Address, ...]:
        """The suppliers whose asks are in a round's book, revealed or not."""
        found = await self._read_one("suppliersOf", service, epoch, block=block)
        return cast(tuple[Address, ...], found)

    async def order(self, key: OrderKey, *, block: int | None = None) -> AuctionOrder:
        """An order as kept; state NONE where there is none."""
        content, payer, deposit, state = await self._read_one("orderOf", key.encode(), block=block)
        return AuctionOrder(content, payer, deposit, OrderState(state))

    async def clearing(self, key: ClearingKey, *, block: int | None = None) -> AuctionClearing:
        """A clearing as kept; a zero hash where there is none, or no more."""
        return AuctionClearing(*await self._read_one("clearingOf", key.encode(), block=block))

    async def draw_seed(
        self, service: Hash32, epoch: int, *, block: int | None = None
    ) -> Hash32 | None:
        """The seed of a round's public order; None while it cannot be known."""
        found = cast(Hash32, await self._read_one("drawSeedOf", service, epoch, block=block))
        return None if found == NO_SEED else found

    async def claimable(self, payee: Address, *, block: int | None = None) -> int:
        """What a payee can collect."""
        return cast(int, await self._read_one("claimableOf", payee, block=block))

    async def revealed(
        self, service: Hash32, epoch: int, *, block: int | None = None
    ) -> tuple[RevealedOrder, ...]:
        """Every order of a round that was revealed, in the chain's order."""
        windows = await self.windows(epoch)
        head = block if block is not None else (await self.chain.head()).number
        logs = await read_logs(
            self.chain, [self.address], windows.reveal_from, min(head, windows.reveal_end - 1),
            [self.abi.event("Reveal").signature_hash], service,
        )  # fmt: skip
        decoded = (decode_log("auction", self.abi, each) for each in logs)
        found = (each.values for each in decoded if each is not None)
        wanted = (each for each in found if each["epoch"] == epoch)
        return tuple(
            RevealedOrder(
                OrderSide(each["side"]),
                Order(each["trader"], each["terms"][0], each["terms"][1]),
                each["terms"][2],
                each["isIn"],
            )
            for each in wanted
        )

    async def book(self, service: Hash32, epoch: int, *, block: int | None = None) -> Book:
        """The orders of a round that take part: what a clearing is of."""
        orders = [each for each in await self.revealed(service, epoch, block=block) if each.is_in]
        return Book(
            tuple(each.order for each in orders if each.side is OrderSide.BID),
            tuple(each.order for each in orders if each.side is OrderSide.ASK),
        )

    async def trees(self, service: Hash32, epoch: int) -> ClearingTrees | None:
        """The trees of a round, that prove what it clears to; None while its seed is unknown."""
        seed = await self.draw_seed(service, epoch)
        if seed is None:
            return None
        book, found = await self.book(service, epoch), await self.round(service, epoch)
        return ClearingTrees.build(book, found.price, (await self.terms()).fee_bps, seed)

    def clearing_key(
        self, service: Hash32, epoch: int, submitter: Address, trees: ClearingTrees
    ) -> ClearingKey:
        """What names the clearing of a round's trees."""
        roots = trees.asks.root.digest, trees.bids.root.digest
        return ClearingKey(service, epoch, submitter, *roots)

    def open_market(self, service: Hash32, price: int) -> Call:
        """Open a service's market at a first price; its source sends it, once."""
        return self._call("openMarket", service, price)

    def commit(self, order: SealedOrder, deposit: int) -> Call:
        """Commit a sealed order; the supplier's owner or operator, or the application, sends it.

        The deposit is at least the order bond, a bid's also the posted price times its quantity;
        the token's approval comes first.
        """
        seal = order.seal(self.chain.chain_id, self.address)
        return self._call("commit", order.key.encode(), seal, deposit)

    def reveal(self, order: SealedOrder) -> Call:
        """Reveal a committed order; anyone who knows it sends it."""
        return self._call("reveal", order.key.encode(), order.terms.encode(), order.salt)

    def forfeit(self, key: OrderKey) -> Call:
        """Close an order that was not revealed in time: its bond is lost, the rest goes back."""
        return self._call("forfeit", key.encode())

    def submit_clearing(self, key: ClearingKey, proof: ClearingProof) -> Call:
        """Propose what a round clears to; the submitter sends it, with the bond approved."""
        return self._call("submitClearing", key.encode(), *encode_proof(proof))

    def demand_leaf(self, key: ClearingKey, side: OrderSide, trader: Address) -> Call:
        """Ask a clearing for the leaf of an order that is in, with the stake approved."""
        return self._call("demandLeaf", key.encode(), int(side), trader)

    def show_leaf(
        self, key: ClearingKey, side: OrderSide, trader: Address, opening: Opening
    ) -> Call:
        """Show a leaf that was demanded, for the demander's stake."""
        return self._call("showLeaf", key.encode(), int(side), trader, encode_opening(opening))

    def end_demand(self, key: ClearingKey, side: OrderSide, trader: Address) -> Call:
        """Defeat a clearing that did not show a leaf in time; or say whose the stake is, once its
        bond is free or lost. Anyone sends it."""
        return self._call("endDemand", key.encode(), int(side), trader)

    def prove_disorder(
        self,
        key: ClearingKey,
        side: OrderSide,
        first: tuple[Address, Opening],
        second: tuple[Address, Opening],
    ) -> Call:
        """Defeat a clearing by two leaves, of which the first by key stands behind the second."""
        shown = (first[0], encode_opening(first[1]), second[0], encode_opening(second[1]))
        return self._call("proveDisorder", key.encode(), int(side), *shown)

    def publish(self, key: ClearingKey, entries: tuple[RosterEntry, ...]) -> Call:
        """Make a clearing that nobody defeated the roster of its epoch; anyone sends it."""
        return self._call("publish", key.encode(), encode_entries(entries))

    def release_bond(self, key: ClearingKey) -> Call:
        """Give back the bond of a clearing that was neither defeated nor published."""
        return self._call("releaseBond", key.encode())

    def settle_bid(
        self, service: Hash32, epoch: int, application: Address, opening: Opening | None = None
    ) -> Call:
        """Settle a bid of a finished round; its leaf is needed where not all demand was met."""
        shown = encode_opening(opening or Opening())
        return self._call("settleBid", service, epoch, application, shown)

    def waive_bid(self, service: Hash32, epoch: int) -> Call:
        """Close the sender's bid without its leaf: charged in full, allotted nothing."""
        return self._call("waiveBid", service, epoch)

    def refund_paused(self, service: Hash32, epoch: int, application: Address) -> Call:
        """Give back what a bid was charged for paused sessions, once its epoch is over."""
        return self._call("refundPaused", service, epoch, application)

    def pay_charges(self, service: Hash32, epoch: int) -> Call:
        """Credit a round's charges to who cleared it and the treasury, once its epoch is over."""
        return self._call("payCharges", service, epoch)

    def collect_for(self, payee: Address) -> Call:
        """Pay out what a payee has coming; anyone sends it."""
        return self._call("collectFor", payee)
