"""Putting a gateway together and running it: the only module that builds its objects."""

import asyncio
import logging
import random
import signal
import socket
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import uvicorn
from prometheus_client import CollectorRegistry

from contracts import Market, SkewWatch, TxSender, until_reachable
from gateway.access.accounts import Accounts
from gateway.access.admission import Admission
from gateway.access.api_keys import KeyStore
from gateway.access.audit_log import CONTROL_PLANE
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.shared_limits import SharedLimits, load_replica
from gateway.access.table_reload import TableReload
from gateway.api.batch_run import BatchRunner
from gateway.api.batches import Batches
from gateway.api.data_plane import DataPlane
from gateway.api.file_store import DirectoryStore
from gateway.api.files import Files
from gateway.api.leases import Leases
from gateway.api.market_pages import FOLDER, MarketPages
from gateway.api.once import Once
from gateway.books.history import History
from gateway.books.ledger import Ledger
from gateway.books.recovery import recover
from gateway.books.retention import Retention, open_daily
from gateway.control import create_control
from gateway.dashboard import Board, Desk, Sources
from gateway.dialling import DIAL_PATH, Directory, Door, LineKeeper, Lobby
from gateway.edge.plane import EdgePlane
from gateway.metrics import Metrics
from gateway.reloading import open_reloader
from gateway.routing.auditing import Auditor
from gateway.routing.dispatch import Dispatcher
from gateway.routing.market import KEPT_SESSIONS, Refresher
from gateway.routing.observation import fan_out
from gateway.routing.prediction import Predictor
from gateway.routing.relay import RelaySigner
from gateway.routing.relaying import RelayLimits, Relays
from gateway.routing.retry_budget import RetryBudget
from gateway.routing.router import Router
from gateway.routing.sessions import SessionTable
from gateway.routing.specs import SpecLibrary
from gateway.routing.standing import Standing
from gateway.routing.supplier_view import SupplierView
from gateway.routing.upstream import Upstream
from gateway.routing.waiting_room import WaitingRoom
from gateway.settings import Settings
from gateway.settlement.bidding import open_bidder
from gateway.settlement.delivery import Deliverer
from gateway.settlement.funds_watch import FundsWatch, SessionSpending
from gateway.settlement.outbox import Outbox, read_accepted
from gateway.settlement.reclaiming import Reclaimer
from gateway.settlement.recounting import RecountWorker
from gateway.settlement.settling import Settler, load_dropped
from gateway.settlement.spool import Spool, restore_outbox
from node.addresses import AddressGuard
from node.append_log import AppendLog
from node.dashboard import Access
from node.errors import SettingsError
from node.http import ClientLimits, ClientPool, Limits, Lines, Server, serve
from node.keystore import LOCALNET_CHAIN_ID, PrivateKey
from node.settings import parse_hex
from node.tls import ServerTls, load_client_tls, load_server_tls
from node.traces import Traces, open_traces
from relay_mining import DIAL_PROTOCOL, Address, Signer

logger = logging.getLogger("gateway")

FUNDS_PAUSE = 20
"""Looks at the chain for one look at the escrows."""

Found = TypeVar("Found")


@dataclass(slots=True)
class Node:
    """A running gateway's parts."""

    settings: Settings
    table: SessionTable
    accounts: Accounts
    keys: KeyStore
    tables: TableReload
    limits: SharedLimits | None
    funds: FundsWatch
    settler: Settler
    deliverer: Deliverer
    ledger: Ledger
    refresher: Refresher
    data_plane: DataPlane
    once: Once
    suppliers: SupplierView
    registry: CollectorRegistry
    application: Address
    line_keeper: LineKeeper

    @property
    def signing_keys(self) -> list[Address]:
        """The addresses that this gateway can sign for."""
        return [*self.data_plane.relays.dispatcher.upstream.signer.keys]

    def status(self) -> dict[str, object]:
        """What `gateway status` and `/v1/usage` show."""
        return {
            "session": self.table.number,
            "block": self.refresher.head_block,
            "clock_skew_s": round(self.refresher.skew.skew_s, 1),
            "models": sorted(self.table.models),
            "signing_keys": ["0x" + each.hex() for each in self.signing_keys],
            "receipts_waiting": len(self.deliverer.outbox) + self.settler.waiting,
            "receipts_delivered": self.deliverer.delivered,
            "receipts_refused": self.deliverer.refused,
            **self.ledger.summary(),
            "projects": self.accounts.project_spending(),
        }


def build_pool(settings: Settings, chain_id: int, lines: Lines) -> ClientPool:
    """The connections to suppliers; off the local network, to public addresses only."""
    guard = None
    if chain_id != LOCALNET_CHAIN_ID:
        guard = AddressGuard(settings.relays.allow_networks)
    return ClientPool(
        ClientLimits(), load_client_tls(settings.relays.tls, "relays.tls"), allow_address=guard,
        lines=lines,
    )  # fmt: skip


def open_batches(settings: Settings, relays: Relays, accounts: Accounts) -> Batches:
    """The files and batches of this gateway, those under way among them."""
    data, rules = settings.shared, settings.batches
    store = DirectoryStore(data / "batches")
    runner = BatchRunner(relays, accounts, store, rules.yield_above, rules.width)
    files = Files(relays.admission, DirectoryStore(data / "files"))
    return Batches(
        relays.admission, files, store, runner, Leases(store, load_replica(settings.data_dir))
    )


def complete(ledger: Ledger, usage_log: AppendLog, receipts_log: AppendLog, once: Once) -> None:
    """Bring the ledger and the answers under way up to what was accepted before a kill.

    The whole log is in memory no longer than this takes.
    """
    accepted = read_accepted(receipts_log.replay()).values()
    recover(ledger, usage_log.replay(), accepted)
    once.recover({each.bill.request for each in accepted if each.bill and each.units})


def open_limits(settings: Settings, accounts: Accounts) -> SharedLimits | None:
    """The limits that are kept with other replicas; None where this gateway is alone."""
    if settings.limits_url is None:
        return None
    try:
        from gateway.access.redis_store import RedisStore
    except ModuleNotFoundError as error:
        raise SettingsError("limits_url needs redis: pip install 'lode[cluster]'") from error
    store = RedisStore(settings.limits_url.get_secret_value())
    replica = load_replica(settings.data_dir)
    return SharedLimits(store, replica, settings.replicas, accounts.limiters)


async def open_tables(
    stack: AsyncExitStack, settings: Settings, accounts: Accounts, standing: Standing,
    limits: SharedLimits | None,
) -> TableReload:  # fmt: skip
    """The gateway's own tables, looked at once; whoever shares limits hears of every change."""
    database = stack.enter_context(Database(settings.tables))
    keys = KeyStore(database, CONTROL_PLANE)
    tables = TableReload(database, keys, DenyList(database), accounts, standing)
    if limits is not None:
        stack.push_async_callback(limits.store.close)
        tables.on_change = limits.publish_all
    await tables.step()
    return tables


@asynccontextmanager
async def open_node(
    settings: Settings, market: Market, keyring: Mapping[Address, Signer], gateway: Address
) -> AsyncIterator[Node]:
    """Build the parts; logs are replayed, nothing listens yet."""
    data, sending = settings.data_dir, settings.relays
    async with AsyncExitStack() as stack:
        lines = Lines(settings.dial.rules())
        stack.callback(lines.close)
        pool = await stack.enter_async_context(build_pool(settings, market.book.chain_id, lines))
        receipts_log = await stack.enter_async_context(open_daily(data / "receipts", time.time()))
        spool = stack.enter_context(Spool(data / "receipts"))
        usage_log = await stack.enter_async_context(open_daily(data / "usage", time.time()))
        worker = RecountWorker(sending.recount_deadline_s)
        stack.callback(worker.close)
        router = open_router(settings)
        standing = router.standing
        outbox, ledger = Outbox(), Ledger(usage_log)
        await restore_outbox(outbox, receipts_log, spool)
        ledger.replay(usage_log.replay())
        accounts, table = Accounts(ledger.spending), SessionTable()
        answers = DirectoryStore(settings.shared / "answers")
        limits = open_limits(settings, accounts)
        admission = Admission(accounts, shared=limits)
        once = Once(admission, answers, settings.server.answers_kept_s, replica=load_replica(data))
        complete(ledger, usage_log, receipts_log, once)
        metrics = Metrics(CollectorRegistry())
        tables = await open_tables(stack, settings, accounts, standing, limits)
        history = History(settings.server.requests_kept)
        spending = SessionSpending()
        observe = fan_out((
            standing.observe, router.predictor.observe, spending.observe, metrics.observe,
            ledger.observe, accounts.observe, history.observe, admission.observe,
        ))  # fmt: skip
        signer = RelaySigner(market.domain, keyring, sending.expiry_s, settings.now)
        settler = Settler(outbox, receipts_log, spool, worker, standing, observe, data / "evidence")
        upstream = Upstream(signer, pool, sending.timeouts())
        auditor = Auditor(
            upstream, standing, observe, settler.owe, sending.audit_share, random.Random()
        )
        dispatcher = Dispatcher(
            upstream,
            router,
            RetryBudget(time.monotonic, sending.retry_share),
            observe,
            fan_out((settler.owe, once.note, auditor.consider)),
            sending.tries_max,
            sending.beat_s,
        )
        application = parse_hex("application", settings.application, 20)
        refresher = Refresher(
            market, table, SpecLibrary(pool, worker, {}, settings.edge.audit_ppm), gateway,
            lambda: accounts.applications | {application},
            read_models(settings),
            settings.chain.poll_s, skew=SkewWatch(settings.now),
        )  # fmt: skip
        deliverer = Deliverer(
            outbox, receipts_log, signer, pool, refresher.locate, standing,
            sending.receipts_flush_s, upstream.servers,
        )  # fmt: skip
        relay_limits = RelayLimits(settings.server.limits(), settings.server.output_tokens_default)
        relays = Relays(
            once.admission, table, dispatcher, relay_limits, lambda: settler.waiting,
            fan_out((ledger.record, history.record, metrics.record)),
            WaitingRoom(settings.queue.rules()), open_tracing(stack, settings),
        )  # fmt: skip
        suppliers = SupplierView(standing, ledger, table, lines)
        data_plane = DataPlane(
            relays, EdgePlane(relays, settings.edge.rules()), history, suppliers, once,
            settings.server.cors(),
        )  # fmt: skip
        keeper = open_door(settings, data_plane, lines, Directory(refresher, signer), metrics)
        watch(metrics, outbox, settler, refresher)
        funds = FundsWatch(
            market, table, refresher.applications, spending, FUNDS_PAUSE * settings.chain.poll_s
        )
        watch_load(metrics, relays, funds)
        yield Node(
            settings, table, accounts, tables.keys, tables, limits, funds, settler, deliverer,
            ledger, refresher, data_plane, once, suppliers, metrics.registry, application, keeper,
        )  # fmt: skip


def open_door(
    settings: Settings, plane: DataPlane, lines: Lines, sessions: Directory, metrics: Metrics
) -> LineKeeper:
    """Let suppliers dial in at the clients' listener."""
    dial = settings.dial
    lobby = Lobby(lines, dial.handshakes_max, dial.handshake_s, metrics.count_dial)
    plane.mount_page(DIAL_PATH, Door(sessions, lobby).answer)
    metrics.watch("gateway_lines", "Connections that suppliers opened", lambda: lines.total)
    return LineKeeper(lines, sessions)


def open_router(settings: Settings) -> Router:
    """What chooses suppliers, those dropped that there is evidence against.

    Replicas share what a supplier gives on credit; it grows by what each has receipted itself.
    """
    sending = settings.relays
    credit = sending.credit_units // settings.replicas
    standing = Standing(time.monotonic, credit, sending.credit_growth_ppm)
    load_dropped(settings.data_dir / "evidence", standing)
    return Router(standing, Predictor(), random.Random(), sending.routing())


def open_tracing(stack: AsyncExitStack, settings: Settings) -> Traces:
    """The traces of this gateway, sent to their end when it ends."""
    traces = open_traces(settings.telemetry, "gateway")
    stack.push_async_callback(asyncio.to_thread, traces.close)
    return traces


def watch(metrics: Metrics, outbox: Outbox, settler: Settler, refresher: Refresher) -> None:
    """Have the metrics show what waits, and the chain as last seen."""
    metrics.watch("gateway_receipts_waiting", "Receipts not acknowledged", lambda: len(outbox))
    metrics.watch("gateway_recounts_waiting", "Answers to recount", lambda: settler.waiting)
    metrics.watch("gateway_session", "The session being served", lambda: refresher.table.number)
    metrics.watch("gateway_head_block", "Newest block seen", lambda: refresher.head_block)
    metrics.watch(
        "gateway_clock_skew_seconds", "How far this clock is ahead of new blocks",
        lambda: refresher.skew.skew_s,
    )  # fmt: skip


def watch_load(metrics: Metrics, relays: Relays, funds: FundsWatch) -> None:
    """Have the metrics show what runs, what waits for its turn, and what is left to spend."""
    retries = relays.dispatcher.retries
    metrics.watch(
        "gateway_requests_running", "Requests at suppliers", lambda: relays.waiting.running
    )
    metrics.watch(
        "gateway_requests_waiting", "Requests that wait for room", lambda: relays.waiting.waiting
    )
    metrics.watch("gateway_retries_left", "Of the retry budget", lambda: retries.left)
    metrics.watch("gateway_retries_denied", "Retries not made", lambda: retries.denied)
    metrics.watch(
        "gateway_escrow_sessions_left", "Sessions that the scarcest escrow stays valid for",
        lambda: funds.sessions_min,
    )  # fmt: skip
    metrics.watch(
        "gateway_delegation_used_ratio", "Of its cap, what the most used open session has spent",
        lambda: funds.used_max,
    )  # fmt: skip


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
            ssl=tls.context if tls else None,
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
        reloader.reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def read_models(settings: Settings) -> dict[str, bytes]:
    """Services by the names of the settings."""
    return {name: parse_hex(name, each, 32) for name, each in settings.models.items()}


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
        market.sessions.roster, market.auction.round,
    )  # fmt: skip
    node.data_plane.mount(FOLDER, pages.answer)
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
        node.settings.records_kept_days,
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
        node.keys, node.ledger, plane.history, node.deliverer.outbox, plane.relays, board.scene
    )
    board.add(desk.endpoints())
    return board


def admin_token(settings: Settings) -> str | None:
    """What opens the control plane; None leaves it closed."""
    token = settings.control.admin_token
    return token.get_secret_value() if token else None


async def shut_down(
    node: Node, server: Server, control: "ControlServer", background: list[asyncio.Task[None]]
) -> None:
    """Let relays finish, settle and deliver what they owe, and end."""
    await server.close(node.settings.server.drain_s)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    await node.settler.drain()
    try:
        async with asyncio.timeout(5):
            await node.deliverer.flush()
    except TimeoutError:
        logger.info("receipts are left for the next start")
    await node.ledger.flush()
    if node.limits is not None:
        await node.limits.turn()
    control.should_exit = True


async def drop_expired(node: Node) -> None:
    """Give up on receipts whose session can no longer be claimed."""
    while True:
        await asyncio.sleep(5.0)
        if node.table.number >= 0:
            await node.deliverer.drop_expired(node.table.number - KEPT_SESSIONS + 1)


class ControlServer(uvicorn.Server):
    """Uvicorn inside the gateway's loop; signals are the gateway's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell whoever waits for it."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.servers[0].sockets[0].getsockname()[1])


async def start_control(node: Node, board: Board, tasks: asyncio.TaskGroup) -> ControlServer:
    """Start the control plane and return once it listens."""
    control = node.settings.control
    app = create_control(
        node.keys, node.accounts, node.application, node.registry, node.status,
        node.suppliers.all, admin_token(node.settings), board.site,
    )  # fmt: skip
    config = uvicorn.Config(
        app, control.host, control.port, log_config=None, access_log=False, lifespan="off"
    )
    server = ControlServer(config)
    task = tasks.create_task(server.serve())
    listening = asyncio.ensure_future(server.listening.wait())
    await asyncio.wait({listening, task}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    return server
