"""One epoch of an auctioned service, from sealed orders to paid claims, with frauds on the way.

Fifty suppliers and fifty applications trade; one more of each commits and does not reveal. Calls
are the Python client's; anvil signs for everybody, so that hundreds of them fit into one block.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from contracts import (
    AuctionTerms,
    Call,
    Chain,
    ClaimAccepted,
    ClaimInput,
    ClaimPaid,
    ClearingKey,
    Market,
    OrderKey,
    OrderSide,
    OrderTerms,
    SealedOrder,
    SendPolicy,
    Service,
    TxReceipt,
    TxSender,
    compute_service_id,
    compute_supplier_id,
    compute_windows,
)
from contracts.deployment import DeploymentPlan, Roles, deploy
from pricing import ClearingTrees, EpochOutcome, Order, clear_epoch
from relay_mining import (
    Address,
    Claim,
    Clock,
    RosterEntry,
    SessionKey,
    UnitWeights,
    keccak,
)
from tests.contracts.anvil import KEYS, Anvil
from tests.contracts.world import GATEWAY_SIGNER, PARAMS, Served, address, serve

TRADERS = 50
EPOCH = 3
FIRST_SESSION = 2 * EPOCH
PRICE = 1_000_000
"""The posted price of a million compute units, in token base units."""
STAKE = 50_000_000
MINTED = 10**9
SALT = bytes(32)
SOURCE = address(KEYS[0])
GATEWAY = address(KEYS[3])
TREASURY = b"\x77" * 20
WATCHER = address(KEYS[1])
HONEST, OMITTING, DISORDERLY = (address(KEYS[each]) for each in (2, 4, 5))
GAS = 12_000_000
TERMS = AuctionTerms()


def trader(kind: str, index: int) -> Address:
    return keccak(f"{kind} {index}".encode())[:20]


@dataclass
class Epoch:
    """A market, its people, and what has happened in it."""

    anvil: Anvil
    market: Market
    clock: Clock
    service: bytes
    orders: list[SealedOrder]
    hidden: list[SealedOrder]
    outcome: EpochOutcome = field(default_factory=EpochOutcome)
    claims: list[tuple[Claim, Served, Address]] = field(default_factory=list)
    paid: dict[bytes, ClaimPaid] = field(default_factory=dict)

    async def send(self, *calls: tuple[Address, Call]) -> list[TxReceipt]:
        """Send all in one block; each has to succeed."""
        self.anvil.rpc("evm_setAutomine", False)
        nonces = {each: await self.market.chain.nonce(each) for each in {each for each, _ in calls}}
        requests = []
        for sender, call in calls:
            requests.append([_request(sender, call, nonces[sender])])
            nonces[sender] += 1
        hashes = self.anvil.rpc_all("eth_sendTransaction", requests)
        self.anvil.mine()
        self.anvil.rpc("evm_setAutomine", True)
        receipts = []
        for (sender, call), sent in zip(calls, hashes, strict=True):
            receipt = await self.market.chain.receipt(bytes.fromhex(sent[2:]))
            assert receipt is not None
            if not receipt.is_success:
                await self.market.chain.read(call, receipt.block_number - 1, sender=sender)
            assert receipt.is_success
            receipts.append(receipt)
        return receipts

    def key(self, application: Address, number: int = FIRST_SESSION) -> SessionKey:
        return SessionKey(application, GATEWAY, self.service, number)

    def side(self, side: OrderSide) -> list[SealedOrder]:
        return [each for each in self.orders if each.key.side is side]

    def payer(self, order: SealedOrder) -> Address:
        """Who commits an order: an application, or the owner of a supplier."""
        if order.key.side is OrderSide.BID:
            return order.key.trader
        owners = (trader("owner", each) for each in range(TRADERS + 1))
        return next(each for each in owners if compute_supplier_id(each, SALT) == order.key.trader)

    async def balance(self) -> int:
        return await self.market.token.balance(self.market.book.auction)


def _request(sender: Address, call: Call, nonce: int) -> dict[str, str]:
    return {
        "from": "0x" + sender.hex(),
        "to": "0x" + (call.to or b"").hex(),
        "data": "0x" + call.data.hex(),
        "gas": hex(GAS),
        "nonce": hex(nonce),
    }


def draw_orders(service: bytes) -> list[SealedOrder]:
    """Asks and bids of all traders; the last of each side are the ones that hide."""
    rng = Random(8)
    orders = []
    for index in range(TRADERS + 1):
        supplier = compute_supplier_id(trader("owner", index), SALT)
        ask = OrderTerms(rng.randint(500_000, 980_000), rng.randint(4, 9))
        bid = OrderTerms(rng.randint(PRICE, 2 * PRICE), rng.randint(2, 5), GATEWAY)
        salt = keccak(b"salt %d" % index)
        orders.append(SealedOrder(OrderKey(service, EPOCH, OrderSide.ASK, supplier), ask, salt))
        application = trader("application", index)
        orders.append(SealedOrder(OrderKey(service, EPOCH, OrderSide.BID, application), bid, salt))
    return orders


def deposit_of(order: SealedOrder) -> int:
    if order.key.side is OrderSide.ASK:
        return TERMS.order_bond
    return max(TERMS.order_bond, PRICE * order.terms.quantity)


async def open_epoch(anvil: Anvil, folder: Path) -> Epoch:
    """Deploy; everybody registered, staked and funded, the market open at its first price."""
    async with await Chain.connect([anvil.url]) as chain:
        sender = TxSender(chain, KEYS[0], SendPolicy(poll_s=0.005))
        plan = DeploymentPlan(
            chain_id=chain.chain_id,
            deployer=sender.address,
            first_nonce=await chain.nonce(sender.address),
            deployment_block=0,
            clock=Clock((await chain.head()).number, 60, 3, 2),
            params=replace(PARAMS, roster_max=64),
            roles=Roles(sender.address, sender.address, TREASURY, 0),
            token=None,
        )
        book = await deploy(sender, chain, plan)
    book.save(folder / "addressbook.json")
    market = await Market.connect([anvil.url], book)
    service = Service(
        SOURCE, keccak(b"spec"), UnitWeights(100, 10, 1, 40), 1_000, book.auction, "auctioned"
    )
    service_id = compute_service_id(service)
    orders = draw_orders(service_id)
    epoch = Epoch(anvil, market, plan.clock, service_id, orders[:-2], orders[-2:])
    await settle_in(epoch, service)
    return epoch


async def settle_in(epoch: Epoch, service: Service) -> None:
    token, registry = epoch.market.token, epoch.market.registry
    book = epoch.market.book
    owners = [trader("owner", each) for each in range(TRADERS + 1)]
    applications = [trader("application", each) for each in range(TRADERS + 1)]
    everyone = [*owners, *applications, HONEST, OMITTING, DISORDERLY, WATCHER]
    epoch.anvil.rpc("anvil_autoImpersonateAccount", True)
    balance = hex(10**20)
    epoch.anvil.rpc_all("anvil_setBalance", [["0x" + each.hex(), balance] for each in everyone])
    await epoch.send(*((each, token.mint(each, MINTED)) for each in everyone))
    for spender in (book.registry, book.escrow, book.auction):
        await epoch.send(*((each, token.approve(spender, MINTED)) for each in everyone))
    await epoch.send(
        (SOURCE, registry.list_service(service)),
        (GATEWAY, registry.register_gateway(GATEWAY_SIGNER.address, "http://gateway")),
    )
    await epoch.send(
        (SOURCE, epoch.market.auction.open_market(epoch.service, PRICE)),
        *((each, registry.register_supplier(SALT, each, each, "", STAKE)) for each in owners),
    )
    ids = {each: compute_supplier_id(each, SALT) for each in owners}
    await epoch.send(*((each, registry.stake(ids[each], STAKE)) for each in owners))


async def trade(epoch: Epoch) -> None:
    """Everybody commits; all but two reveal, who are made to pay."""
    auction, windows = epoch.market.auction, compute_windows(epoch.clock, EPOCH)
    epoch.anvil.mine_to(windows.commit_from)
    everything = [*epoch.orders, *epoch.hidden]
    await epoch.send(
        *((epoch.payer(each), auction.commit(each, deposit_of(each))) for each in everything)
    )
    epoch.anvil.mine_to(windows.reveal_from)
    await epoch.send(*((WATCHER, auction.reveal(each)) for each in epoch.orders))
    epoch.anvil.mine_to(windows.clear_from)
    await epoch.send(*((WATCHER, auction.forfeit(each.key)) for each in epoch.hidden))


@dataclass(frozen=True, slots=True)
class Fraud:
    """A clearing that is not what the orders say."""

    key: ClearingKey
    trees: ClearingTrees


async def clear(epoch: Epoch) -> None:
    """An incomplete and a disorderly clearing, each defeated; then the right one is published."""
    auction, windows = epoch.market.auction, compute_windows(epoch.clock, EPOCH)
    trees = await auction.trees(epoch.service, EPOCH)
    assert trees is not None
    book = await auction.book(epoch.service, EPOCH)
    seed = await auction.draw_seed(epoch.service, EPOCH)
    assert seed is not None
    epoch.outcome = clear_epoch(book, PRICE, TERMS.fee_bps, seed)

    line = sorted(book.asks, key=lambda ask: (ask.price, ask.trader))
    bids = sorted(book.bids, key=lambda bid: keccak(seed + bid.trader))
    reserve = trees.procurement.reserve
    cheapest = line[0]
    invented = Order(b"\xfa" * 20, cheapest.price, cheapest.quantity)
    omitting = await propose(
        epoch, OMITTING, ClearingTrees([*line[1:], invented], bids, reserve, seed)
    )
    swapped = [line[1], line[0], *line[2:]]
    disorderly = await propose(epoch, DISORDERLY, ClearingTrees(swapped, bids, reserve, seed))
    honest = await propose(epoch, HONEST, trees)

    ask = OrderSide.ASK
    await epoch.send((WATCHER, auction.demand_leaf(omitting.key, ask, cheapest.trader)))
    shown = [(each.trader, disorderly.trees.open_ask(each.trader)) for each in line[:2]]
    await epoch.send((WATCHER, auction.prove_disorder(disorderly.key, ask, *shown)))
    # An honest clearing shows what it is asked for, and the asking pays for it.
    await epoch.send((OMITTING, auction.demand_leaf(honest.key, ask, cheapest.trader)))
    opening = trees.open_ask(cheapest.trader)
    await epoch.send((HONEST, auction.show_leaf(honest.key, ask, cheapest.trader, opening)))
    epoch.anvil.mine_to(windows.answer_end)
    await epoch.send((WATCHER, auction.end_demand(omitting.key, ask, cheapest.trader)))
    epoch.anvil.mine_to(windows.publish_from)
    entries = tuple(
        RosterEntry(each.supplier, each.unit_price, each.units) for each in epoch.outcome.roster
    )
    await epoch.send((WATCHER, auction.publish(honest.key, entries)))
    await epoch.send((WATCHER, auction.end_demand(honest.key, ask, cheapest.trader)))


async def propose(epoch: Epoch, submitter: Address, trees: ClearingTrees) -> Fraud:
    auction = epoch.market.auction
    key = auction.clearing_key(epoch.service, EPOCH, submitter, trees)
    await epoch.send((submitter, auction.submit_clearing(key, trees.prove())))
    return Fraud(key, trees)


async def use(epoch: Epoch) -> None:
    """Every bid settled, every application funded, every session served, claimed and paid."""
    auction, sessions, escrow = epoch.market.auction, epoch.market.sessions, epoch.market.escrow
    bidders = [each.key.trader for each in epoch.side(OrderSide.BID)]
    await epoch.send(
        *((WATCHER, auction.settle_bid(epoch.service, EPOCH, each)) for each in bidders)
    )
    caps = dict(
        zip(
            bidders,
            await asyncio.gather(*(sessions.allotment(epoch.key(each)) for each in bidders)),
            strict=True,
        )
    )
    await epoch.send(
        *((each, escrow.delegate(GATEWAY, epoch.service, caps[each], 0)) for each in bidders),
    )
    await epoch.send(*((each, escrow.deposit(each, 2 * caps[each])) for each in bidders))
    epoch.anvil.mine_to(epoch.clock.start(FIRST_SESSION) + 4)
    await epoch.send((WATCHER, sessions.write_seed(FIRST_SESSION - 1)))
    await claim_all(epoch, bidders)
    await collect_all(epoch)


async def claim_all(epoch: Epoch, bidders: Sequence[Address]) -> None:
    """Each member of each application's session claims what it served, all of it receipted."""
    states = await asyncio.gather(
        *(epoch.market.sessions.session(epoch.key(each)) for each in bidders)
    )
    inputs: dict[Address, list[ClaimInput]] = {}
    served: dict[tuple[Address, Address], Served] = {}
    for state in states:
        assert state.is_valid
        for member in state.members:
            supplier = state.roster[member.index].supplier
            terms = state.terms(member)
            work = serve(
                epoch.market.domain,
                state.key,
                supplier=supplier,
                tau=terms.tau,
                units_max=3 * terms.tau,
                relays=6,
                weight_max=terms.slice_units,
            )
            served[state.key.application, supplier] = work
            value = work.trie.root.sum * terms.price // 10**6
            claimed = ClaimInput(state.key, supplier, work.trie.root, value // 2, member)
            inputs.setdefault(supplier, []).append(claimed)
    operators = {compute_supplier_id(each, SALT): each for each in owners()}
    epoch.anvil.mine_to(epoch.clock.start(FIRST_SESSION + 1))
    receipts = await epoch.send(
        *((operators[each], epoch.market.claims.submit(batch)) for each, batch in inputs.items())
    )
    for supplier, receipt in zip(inputs, receipts, strict=True):
        for outcome in epoch.market.claims.outcomes(receipt):
            assert isinstance(outcome, ClaimAccepted), outcome
            claim = outcome.claim
            work = served[claim.session.application, supplier]
            epoch.claims.append((claim, work, supplier))


def owners() -> list[Address]:
    return [trader("owner", each) for each in range(TRADERS + 1)]


async def collect_all(epoch: Epoch) -> None:
    """Prove what is challenged, settle the rest, and count what was paid."""
    claims = epoch.market.claims
    epoch.anvil.mine_to(epoch.clock.proof_window(FIRST_SESSION).opens)
    calls: list[tuple[Address, Call]] = [
        (WATCHER, epoch.market.sessions.write_seed(FIRST_SESSION + 2)),
        (WATCHER, epoch.market.auction.pay_charges(epoch.service, EPOCH)),
    ]
    challenges = await asyncio.gather(*(claims.challenge(each) for each, _, _ in epoch.claims))
    for (claim, work, _), challenge in zip(epoch.claims, challenges, strict=True):
        assert challenge.seed is not None
        if challenge.points:
            leaves = work.prove(challenge.seed, challenge.points)
            calls.append((WATCHER, claims.prove(claim, work.salt, leaves)))
        else:
            calls.append((WATCHER, claims.settle([claim])))
    for receipt in await epoch.send(*calls):
        for outcome in claims.outcomes(receipt):
            assert isinstance(outcome, ClaimPaid), outcome
            epoch.paid[outcome.claim_id] = outcome
