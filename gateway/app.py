"""Running a gateway: from its first moment, through the chain's, to its orderly end."""

import asyncio
import logging
import signal
from collections.abc import (
    Callable,
    Coroutine,
    MutableMapping,
    Sequence,
)
from typing import TypeVar

from contracts import Market, TxSender, read_past_round, until_reachable
from gateway.api.market_pages import FOLDER, MarketPages
from gateway.books.retention import Retention
from gateway.control_server import ControlServer, admin_token, start_control
from gateway.dashboard import Board, Desk, Sources
from gateway.opening import open_batches, read_models
from gateway.parts import Node, open_node
from gateway.reloading import open_reloader
from gateway.routing.dispatch import Dispatcher
from gateway.routing.loading import KEPT_SESSIONS
from gateway.settings import Settings
from gateway.settlement.bidding import open_bidder
from gateway.settlement.reclaiming import Reclaimer
from node.dashboard import Access
from node.http import Limits, Server, serve
from node.keystore import PrivateKey
from node.tls import ServerTls, load_server_tls
from relay_mining import DIAL_PROTOCOL, Address, Signer

logger = logging.getLogger("gateway")

TELL_S = 2.0
"""To tell clients why their answers end, once suppliers have signed for what they sent."""
RECEIPTS_S = 5.0
"""To deliver the last receipts; what is left waits for the next start."""

Found = TypeVar("Found")


async def run_node(
    settings: Settings,
    market: Market,
    keyring: MutableMapping[Address, Signer],
    reread: Callable[[], Settings],
    gateway: Address,
    gas_key: PrivateKey,
    on_ready: Callable[[int, int], None],
    owner: PrivateKey | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is told the two ports once they listen.

    `gas_key` pays for settling claims that were never proved; the signing key will do. `owner` is
    the application's key, which is needed to trade in auctions only. At SIGHUP certificates are
    read again, and the settings by `reread`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_node(settings, market, keyring, gateway) as node:
        limits = Limits(
            body_bytes_max=settings.server.body_bytes_max,
            connections_max=settings.server.connections_max,
            write_stall_s=settings.server.write_stall_s,
            upgrade=DIAL_PROTOCOL,
        )
        tls = load_server_tls(settings.server.tls, "server.tls")
        server = await serve(
            node.data_plane.handle, settings.server.host, settings.server.port, limits,
            refuse=node.data_plane.refuse, ssl=tls.context if tls else None,
        )  # fmt: skip
        reload_on_hangup(node, tls, keyring, reread, market.book.chain_id)
        try:
            board = await unless(stop, until_reachable(lambda: meet_chain(node, market, gateway)))
            if board is not None:
                trading = trade(node, market, gateway, owner)
                await work(node, market, gas_key, board, server, trading, on_ready, stop)
        finally:
            await server.close(0.0)


def reload_on_hangup(
    node: Node, tls: ServerTls | None, keyring: MutableMapping[Address, Signer],
    reread: Callable[[], Settings], chain_id: int,
) -> None:  # fmt: skip
    """At SIGHUP read certificates and settings again."""
    reloader = open_reloader(
        node.settings, reread, node.data_plane.relays, keyring, chain_id,
        lambda settings: node.refresher.rename(read_models(settings)),
    )  # fmt: skip

    def reload() -> None:
        if tls is not None:
            tls.try_renew()
        reloader.begin()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


async def unless(stop: asyncio.Event, waiting: Coroutine[None, None, Found]) -> Found | None:
    """What is waited for; None where `stop` is set before."""
    task, stopping = asyncio.create_task(waiting), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopping.cancel()


async def meet_chain(node: Node, market: Market, gateway: Address) -> Board:
    """The dashboard, once the chain has said that the contracts are there; until then not ready.

    Raises WrongChainError or AddressBookError where they are not.
    """
    await market.verify()
    board = await open_board(node, market, gateway)
    pages = MarketPages(
        node.data_plane.relays.admission, board.scene, await market.sessions.clock(),
        node.application, market.sessions.roster, market.auction.round,
        lambda service, epoch: read_past_round(market, service, epoch),
    )  # fmt: skip
    node.data_plane.mount(FOLDER, pages.answer)
    board.add(pages.endpoints())
    return board


async def work(
    node: Node, market: Market, gas_key: PrivateKey, board: Board, server: Server,
    trading: Sequence[Coroutine[None, None, None]], on_ready: Callable[[int, int], None],
    stop: asyncio.Event,
) -> None:  # fmt: skip
    """Follow the chain, settle and deliver beside the listening `server`, until `stop`."""
    reclaimer = Reclaimer(
        market,
        TxSender(market.chain, gas_key.reveal(), node.settings.chain.policy()),
        lambda: node.accounts.applications | {node.application},
        node.settings.chain.confirmations,
        node.settings.chain.poll_s,
    )
    retention = Retention(
        node.deliverer.log, node.ledger.log, node.deliverer.outbox, node.settings.data_dir,
        node.settings.records_kept_days, node.ledger.forget_days,
        lambda: node.refresher.skew.is_right,
    )  # fmt: skip
    batches = open_batches(node.settings, node.data_plane.relays, node.accounts)
    node.data_plane.mount_all(b"/v1/files", batches.files.answer)
    node.data_plane.mount_all(b"/v1/batches", batches.answer)
    async with asyncio.TaskGroup() as tasks:
        control = await start_control(node, board, tasks)
        background = [
            tasks.create_task(each)
            for each in (
                node.refresher.run(), node.funds.run(), node.settler.run(), node.deliverer.run(),
                node.ledger.run(), node.tables.run(), drop_expired(node), reclaimer.run(),
                node.once.run(), node.line_keeper.run(), batches.run(), retention.run(),
                board.run(), node.deliverer.servers.watch(node.deliverer.pool), *trading,
                *([] if node.limits is None else [node.limits.run()]),
            )
        ]  # fmt: skip
        on_ready(server.port, control.port)
        await stop.wait()
        board.close()
        await shut_down(node, server, control, background)


def trade(
    node: Node, market: Market, gateway: Address, owner: PrivateKey | None
) -> list[Coroutine[None, None, None]]:
    """The bids and clearings of the settings, where the key that pays for them is at hand."""
    if owner is None:
        return []
    settings = node.settings
    sender = TxSender(market.chain, owner.reveal(), settings.chain.policy())
    bidder = open_bidder(settings.auction, market, sender, gateway, settings.data_dir)
    return [bidder.run(settings.auction.poll_s)]


async def open_board(node: Node, market: Market, gateway: Address) -> Board:
    """The dashboard, which looks at the node and changes nothing."""
    settings = node.settings
    sources = Sources(node.table, node.settler.standing, gateway, lambda: node.refresher.head_block)
    board = await Board.open(
        market, sources, settings.chain.confirmations, settings.chain.poll_s,
        Access(admin_token(settings)),
    )  # fmt: skip
    plane = node.data_plane
    desk = Desk(
        node.keys, node.ledger, plane.history, node.deliverer.outbox, plane.relays, board.scene,
        settings.replicas,
    )  # fmt: skip
    board.add(desk.endpoints())
    return board


async def shut_down(
    node: Node, server: Server, control: "ControlServer", background: list[asyncio.Task[None]]
) -> None:
    """Let relays finish, settle and deliver what they owe, and end."""
    dispatcher = node.data_plane.relays.dispatcher
    await finish_relays(dispatcher, server, node.settings.server.drain_s)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    await node.settler.drain()
    try:
        async with asyncio.timeout(RECEIPTS_S):
            await node.deliverer.flush()
    except TimeoutError:
        logger.info("receipts are left for the next start")
    await node.ledger.flush()
    if node.limits is not None:
        await node.limits.turn()
    control.should_exit = True


async def finish_relays(dispatcher: Dispatcher, server: Server, drain_s: float) -> None:
    """Take no more work, and end what still runs after `drain_s`: its clients are told so."""
    ending = asyncio.get_running_loop().call_later(drain_s, dispatcher.close)
    await server.close(drain_s + dispatcher.upstream.timeouts.cancel + TELL_S)
    ending.cancel()


async def drop_expired(node: Node) -> None:
    """Give up on receipts whose session can no longer be claimed."""
    while True:
        await asyncio.sleep(5.0)
        if node.table.number >= 0:
            await node.deliverer.drop_expired(node.table.number - KEPT_SESSIONS + 1)
