"""Setting up the books in a local market: services, orders, money, and the nodes told of them.

The liars are stock nodes whose settings lie: a supplier, its second identity, a gateway that bids
for the application it owns. The truthful buyer and the liar's second application bid from here,
with the code that a gateway bids with, and are served by that gateway.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts import Call, Market, OrderSide, OrderTerms, SendPolicy, TxSender, compute_service_id
from contracts.trading import AuctionTrader, Clearer, SealedOrders
from localnet.accounts import DEPLOYER, SOURCE, gateway_owner, supplier_operator
from localnet.chain import TestAccount, test_account
from localnet.lies.books import PRICE, Staged, Wish
from localnet.lies.gains import Liar
from localnet.lies.load import MAX_TOKENS, Client
from localnet.market import LocalMarket, MarketPlan
from localnet.nodes import SupplierNode
from localnet.provision import DEMO_ENGINE, TOKEN, Terms
from relay_mining import UNITS_PER_PRICE, Address, Hash32, UnitWeights

LIAR, CHEAPER, DEARER, SECOND, ABSENT = range(5)
"""The suppliers by their numbers; the last one is the adversary."""
TWIN, SECOND_BUYER = test_account(4), test_account(5)
FIRST_CLEARER = 30
WEIGHTS = UnitWeights(100_000, 1, 0, 4)
"""A relay is a tenth of a unit, so that a unit is used by few."""
RELAY_UNITS_MAX = 100_000 + 100 + 4 * MAX_TOKENS
SESSION_BLOCKS = 36
CAP = 20 * TOKEN
"""Of a session and application, more than any order comes to."""
MONEY = 100_000 * TOKEN
POLICY = SendPolicy(poll_s=0.2)
POLL_S = 0.5


def plan_market(books: Sequence[Staged]) -> MarketPlan:
    """The market for some books, whose names the engines answer to."""
    names = ", ".join(f'"{each.name}"' for each in books)
    engine = replace(DEMO_ENGINE, settings=(f'arguments = ["--alias", {names}]',))
    return MarketPlan(
        suppliers=ABSENT,
        engines=(engine,),
        cheats=("absentee",),
        terms=Terms(session_blocks=SESSION_BLOCKS),
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """The books in a running market."""

    books: tuple[Staged, ...]
    services: tuple[Hash32, ...]
    """Of the books, in their order."""
    suppliers: tuple[Address, ...]
    clients: tuple[Client, ...]
    buyers: tuple[AuctionTrader, ...]
    """Those that bid from here."""
    clearers: tuple[Clearer, ...]

    def liars(self, book: Staged) -> tuple[Liar, Liar]:
        """The two liars of a book."""
        sellers = (self.suppliers[LIAR], self.suppliers[SECOND])
        buyers = (gateway_owner().raw, SECOND_BUYER.raw)
        return (
            Liar(OrderSide.ASK, book.supplier, sellers[: len(book.supplier.said)]),
            Liar(OrderSide.BID, book.buyer, buyers[: len(book.buyer.said)]),
        )


async def set_up(market: LocalMarket, chain: Market, books: tuple[Staged, ...]) -> Stage:
    """List the books' services, fund everybody, tell the nodes, and open at an epoch's start."""
    services = await _list_services(market, chain, books)
    await _fund(market, chain, services)
    clients = _configure(market, books, services)
    source = TxSender(chain.chain, _key(SOURCE), POLICY)
    await _to_next_epoch(market, chain)
    await _send(source, *(chain.auction.open_market(each, PRICE) for each in services))
    twin = {service: book.twin for service, book in zip(services, books, strict=True)}
    second = {
        service: book.buyer.said[1]
        for service, book in zip(services, books, strict=True)
        if len(book.buyer.said) > 1
    }
    return Stage(
        books,
        services,
        tuple(each.supplier for each in market.suppliers),
        clients,
        (_buyer(market, chain, TWIN, twin), _buyer(market, chain, SECOND_BUYER, second)),
        tuple(_clearer(chain, number, each) for number, each in enumerate(services)),
    )


async def _list_services(
    market: LocalMarket, chain: Market, books: Sequence[Staged]
) -> tuple[Hash32, ...]:
    posted = await chain.registry.service(market.service)
    auctioned = replace(posted, market=chain.book.auction, weights=WEIGHTS)
    listed = [replace(auctioned, name=each.name) for each in books]
    source = TxSender(chain.chain, _key(SOURCE), POLICY)
    await _send(source, *(chain.registry.list_service(each) for each in listed))
    return tuple(map(compute_service_id, listed))


async def _fund(market: LocalMarket, chain: Market, services: Sequence[Hash32]) -> None:
    """Tokens and allowances for bonds and deposits, and every buyer's delegations."""
    operators = [supplier_operator(number) for number in range(len(market.suppliers))]
    clearers = [test_account(FIRST_CLEARER + number) for number in range(len(services))]
    buyers = [gateway_owner(), TWIN, SECOND_BUYER]
    minter = TxSender(chain.chain, _key(DEPLOYER), POLICY)
    people = (*operators, *clearers, *buyers)
    await _send(minter, *(chain.token.mint(each.raw, MONEY) for each in people))
    book, escrow = chain.book, chain.escrow
    approve = chain.token.approve
    senders = {each.raw: TxSender(chain.chain, _key(each), POLICY) for each in people}
    await asyncio.gather(
        *(_send(senders[each.raw], approve(book.auction, MONEY)) for each in (*operators, *buyers)),
        *(_send(senders[each.raw], approve(book.escrow, MONEY)) for each in buyers),
    )
    delegations = [escrow.delegate(gateway_owner().raw, each, CAP, 100) for each in services]
    await asyncio.gather(
        *(_send(senders[each.raw], escrow.deposit(each.raw, MONEY // 4)) for each in buyers)
    )
    await asyncio.gather(*(_send(senders[each.raw], *delegations) for each in buyers))


def _configure(
    market: LocalMarket, books: Sequence[Staged], services: Sequence[Hash32]
) -> tuple[Client, ...]:
    """Tell every node its orders and start it anew; returns who will ask."""
    named = list(zip(books, services, strict=True))
    asks: list[dict[Hash32, Wish]] = [{} for _ in market.suppliers]
    for book, service in named:
        asks[CHEAPER][service], asks[DEARER][service] = book.rivals
        for number, said in zip((LIAR, SECOND), book.supplier.said, strict=False):
            asks[number][service] = said
        if book.absent is not None:
            asks[ABSENT][service] = book.absent
    for supplier, wishes in zip(market.suppliers, asks, strict=True):
        _tell_supplier(market, supplier, wishes)
    market.gateway.stop()
    bids = {service: book.buyer.said[0] for book, service in named}
    models = "".join(f'{book.name} = "{_hex(service)}"\n' for book, service in named)
    with market.gateway_config.open("a") as file:
        file.write(f"[models]\n{models}[auction]\npoll_s = {POLL_S}\nbids = {_orders(bids)}\n")
    keys = [
        market.run_gateway("keys", "create", name, "--application", account.address)["key"]
        for name, account in (("twin", TWIN), ("second", SECOND_BUYER))
    ]
    market.gateway.start_again()
    twin_key, second_key = keys
    sessions = market.plan.terms.epoch_sessions
    clients = []
    for book in books:
        need = book.buyer.truth.quantity / len(book.buyer.said)
        clients.append(_client(book, market.api_key, need, sessions))
        clients.append(_client(book, twin_key, book.twin.quantity, sessions))
        if len(book.buyer.said) > 1:
            clients.append(_client(book, second_key, need, sessions))
    return tuple(clients)


def _tell_supplier(market: LocalMarket, supplier: SupplierNode, wishes: dict[Hash32, Wish]) -> None:
    known = f'services = ["{_hex(market.service)}"'
    more = "".join(f', "{_hex(each)}"' for each in wishes)
    text = supplier.config.read_text().replace(known, known + more)
    orders = f"[auction]\npoll_s = {POLL_S}\nasks = {_orders(wishes)}"
    supplier.config.write_text(text.replace("[auction]", orders))
    supplier.node.stop()
    supplier.node.start_again()


def _orders(wishes: dict[Hash32, Wish]) -> str:
    """Orders as the settings of both nodes write them."""
    lines = (
        f'"{_hex(service)}" = {{ price = {wish.price}, quantity = {wish.quantity} }}'
        for service, wish in wishes.items()
    )
    return f"{{ {', '.join(lines)} }}"


def _client(book: Staged, api_key: str, need: float, sessions: int) -> Client:
    requests = int(need * UNITS_PER_PRICE / sessions / RELAY_UNITS_MAX)
    return Client(book.name, api_key, requests)


async def _to_next_epoch(market: LocalMarket, chain: Market) -> None:
    """Skip to the start of an epoch, so that its round has all of its time."""
    clock = await chain.sessions.clock()
    epoch = clock.epoch_of(clock.session_at((await chain.chain.head()).number))
    market.chain.skip_to(clock.start((epoch + 1) * clock.epoch_sessions))


def _buyer(
    market: LocalMarket, chain: Market, account: TestAccount, wishes: dict[Hash32, Wish]
) -> AuctionTrader:
    return AuctionTrader(
        chain,
        TxSender(chain.chain, _key(account), POLICY),
        OrderSide.BID,
        account.raw,
        {
            service: OrderTerms(each.price, each.quantity, gateway_owner().raw)
            for service, each in wishes.items()
        },
        SealedOrders(market.folder / f"{account.address}.json"),
    )


def _clearer(chain: Market, number: int, service: Hash32) -> Clearer:
    account = test_account(FIRST_CLEARER + number)
    return Clearer(chain, TxSender(chain.chain, _key(account), POLICY), [service])


async def _send(sender: TxSender, *calls: Call) -> None:
    await asyncio.gather(*(sender.send(each) for each in calls))


def _key(account: TestAccount) -> bytes:
    return bytes.fromhex(account.key[2:])


def _hex(service: Hash32) -> str:
    return "0x" + service.hex()
