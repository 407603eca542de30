"""A market whose traders and clearer go through rounds of an auction by themselves, on anvil."""

from dataclasses import dataclass
from pathlib import Path

from contracts import (
    Chain,
    Market,
    OrderKey,
    OrderSide,
    OrderTerms,
    SendPolicy,
    Service,
    TxSender,
    compute_service_id,
    compute_supplier_id,
    compute_windows,
)
from contracts.deployment import DeploymentPlan, Roles, deploy
from contracts.trading import AuctionTrader, Clearer, SealedOrders
from relay_mining import Clock, UnitWeights, keccak
from tests.contracts.anvil import KEYS, Anvil
from tests.contracts.world import GATEWAY_SIGNER, PARAMS, address

PRICE = 1_000_000
STAKE = 50_000_000
MINTED = 10**9
SALT = bytes(32)
TREASURY = b"\x77" * 20
SOURCE, GATEWAY = address(KEYS[0]), address(KEYS[0])
OWNERS, APPLICATIONS, CLEARER = KEYS[1:3], KEYS[3:5], KEYS[5]
ASKS = (OrderTerms(600_000, 3), OrderTerms(900_000, 5))
BIDS = (OrderTerms(1_500_000, 4, GATEWAY), OrderTerms(1_200_000, 9, GATEWAY))
"""Together more than the suppliers have."""
STRIDE = 4
"""Blocks between two looks at the chain."""


@dataclass
class Rounds:
    """A market, its traders, and what they remember."""

    anvil: Anvil
    market: Market
    clock: Clock
    service: bytes
    folder: Path
    clearer: Clearer

    def trader(self, side: OrderSide, number: int) -> AuctionTrader:
        """A trader as a start of its node makes it: only the file is old."""
        is_bid = side is OrderSide.BID
        key = (APPLICATIONS if is_bid else OWNERS)[number]
        who = address(key) if is_bid else compute_supplier_id(address(key), SALT)
        return AuctionTrader(
            self.market, sender_of(self.market.chain, key), side, who,
            {self.service: (BIDS if is_bid else ASKS)[number]},
            SealedOrders(self.folder / f"{side.name}-{number}.json"),
        )  # fmt: skip

    async def step_all(self) -> None:
        for side in OrderSide:
            for number in range(2):
                await self.trader(side, number).step()
        await self.clearer.step()

    async def finish(self, epoch: int) -> None:
        """Go on until the round of an epoch is over and its bids are settled."""
        await self.run_to(compute_windows(self.clock, epoch).publish_end + STRIDE)

    async def run_to(self, block: int) -> None:
        while self.anvil.height < block:
            self.anvil.mine(min(STRIDE, block - self.anvil.height))
            await self.step_all()

    def order_key(self, side: OrderSide, number: int, epoch: int) -> OrderKey:
        return OrderKey(self.service, epoch, side, self.trader(side, number).trader)


def sender_of(chain: Chain, key: bytes) -> TxSender:
    return TxSender(chain, key, SendPolicy(poll_s=0.005))


async def open_market(anvil: Anvil, folder: Path) -> Rounds:
    """Two suppliers, two applications, one who clears; the market open at its first price."""
    async with await Chain.connect([anvil.url]) as chain:
        deployer = sender_of(chain, KEYS[0])
        plan = DeploymentPlan(
            chain_id=chain.chain_id,
            deployer=deployer.address,
            first_nonce=await chain.nonce(deployer.address),
            deployment_block=0,
            clock=Clock((await chain.head()).number, 40, 3, 2),
            params=PARAMS,
            roles=Roles(deployer.address, deployer.address, TREASURY, 0),
            token=None,
        )
        book = await deploy(deployer, chain, plan)
    book.save(folder / "addressbook.json")
    market = await Market.connect([anvil.url], book)
    source = sender_of(market.chain, KEYS[0])
    service = Service(
        SOURCE, keccak(b"spec"), UnitWeights(0, 1, 1, 1), 1_000, book.auction, "auctioned"
    )
    registry, token = market.registry, market.token
    for key in KEYS:
        await source.send(token.mint(address(key), MINTED))
    await source.send(registry.list_service(service))
    await source.send(registry.register_gateway(GATEWAY_SIGNER.address, "http://gateway"))
    await source.send(market.auction.open_market(compute_service_id(service), PRICE))
    for key in OWNERS:
        owner = sender_of(market.chain, key)
        await owner.send(token.approve(book.registry, STAKE))
        me = owner.address
        await owner.send(registry.register_supplier(SALT, me, me, "", STAKE))
        await owner.send(registry.stake(compute_supplier_id(me, SALT), STAKE))
    service_id = compute_service_id(service)
    clearer = Clearer(market, sender_of(market.chain, CLEARER), [service_id])
    return Rounds(anvil, market, plan.clock, service_id, folder, clearer)
