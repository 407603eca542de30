"""The serving node: builds every part once, runs them in one task group, and drains at the end."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from contracts import ChainError, Market, SkewWatch, until_reachable
from node.addresses import AddressGuard
from node.dashboard import site_handler
from node.errors import OperatorError
from node.http import ClientLimits, ClientPool, Limits, Server, serve
from node.keystore import LOCALNET_CHAIN_ID
from node.reloading import Reloader
from node.settings import parse_hex
from node.telemetry import metrics_handler
from node.tls import ServerTls, load_client_tls, load_server_tls
from node.traces import Traces, open_traces
from relay_mining import Domain, Hash32
from supplier.dashboard import Board, Sources
from supplier.dialling import Caller, Dialler, GatewayFinder, Place, Trunk, TrunkRules, only_relays
from supplier.fleet import CONTROL, Control, Fleet, open_fleet
from supplier.keys import load_operators
from supplier.metrics import Metrics
from supplier.mining.alone import Sharding
from supplier.mining.backing import Backing, OwnDisk
from supplier.mining.bundles import BundleFolder
from supplier.mining.chain_view import ChainView
from supplier.mining.claiming import Claimer
from supplier.mining.credit import compute_policy
from supplier.mining.directory import DirectoryRules, SessionDirectory
from supplier.mining.ends import Ends
from supplier.mining.handing_out import HandOut
from supplier.mining.miner import Miner
from supplier.mining.operators import Operators
from supplier.mining.receipts import ReceiptDesk
from supplier.mining.settler import Settler
from supplier.operation.leaving import is_bound
from supplier.operation.ledger import import_shared
from supplier.operation.vitals import Subject, Vitals
from supplier.server.admission import AdmissionRules
from supplier.server.door import Door
from supplier.server.endpoints import Desk, Endpoints
from supplier.server.relays import RelayServer
from supplier.server.serving import SignOff
from supplier.settings import Settings
from supplier.trading import open_trader

log = logging.getLogger(__name__)

Ready = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class _Node:
    """Everything that lives as long as the node."""

    settings: Settings
    market: Market
    view: ChainView
    operators: Operators
    fleet: Fleet
    pool: ClientPool
    """The connections to all engines."""
    traces: Traces
    backing: Backing
    metrics: Metrics
    miner: Miner
    door: Door
    dialler: Dialler | None
    """Where gateways are dialled instead of taken."""
    tls: ServerTls | None
    reread: Callable[[], Settings]
    """Reads the settings again, at SIGHUP."""


async def run(
    settings: Settings,
    miner: type[Miner] = Miner,
    relays: type[RelayServer] = RelayServer,
    ready: Ready = lambda facts: None,
    stop: asyncio.Event | None = None,
    reread: Callable[[], Settings] | None = None,
) -> None:
    """Serve, claim and prove until `stop` (by default SIGTERM or SIGINT); then drain.

    A chain that does not answer is waited for, and settlement waits for no engine. `miner` decides
    what is claimed, `relays` what is served. `ready` is told the port once relays are taken;
    `reread` is asked for the settings at SIGHUP. Raises OperatorError, ChainError and KeystoreError
    where the node cannot start.
    """
    stop = stop or stop_on_signals()
    tls = load_server_tls(settings.server.tls, "server.tls")
    async with Market.unverified(settings.chain) as market, _open_pool(settings) as pool:
        supplier = settings.supplier()
        if not settings.services:
            raise OperatorError(
                "no services: run `supplier list` and name the service in the config"
            )
        metrics, door = Metrics(), Door()
        fleet = open_fleet(settings, pool, metrics)
        keys = load_operators(settings.keys, market.book.chain_id)
        view = ChainView(
            market, supplier, settings.chain.confirmations, settings.chain.poll_s,
            SkewWatch(settings.now),
        )  # fmt: skip
        operators = Operators(view, keys, settings.chain.policy())
        backing = open_backing(settings, view, market.domain, metrics)
        node = _Node(
            settings=settings,
            market=market,
            view=view,
            operators=operators,
            fleet=fleet,
            pool=pool,
            traces=open_traces(settings.telemetry, "lode-supplier"),
            backing=backing,
            metrics=metrics,
            miner=miner(supplier, market.domain, backing.receipt_log),
            door=door,
            dialler=_dialler(settings, view, operators, door, metrics, backing.sharding),
            tls=tls,
            reread=reread or (lambda: settings),
        )
        try:
            async with _kept_up(backing):
                await _serve(node, relays, ready, stop)
        finally:
            await asyncio.to_thread(node.traces.close)


def _open_pool(settings: Settings) -> ClientPool:
    engines = settings.all_engines
    return ClientPool(
        ClientLimits(
            body_bytes_max=max(each.answer_bytes_max for each in engines),
            connections_per_origin_max=max(each.connections_max for each in engines),
        )
    )


def open_backing(settings: Settings, view: ChainView, domain: Domain, metrics: Metrics) -> Backing:
    """The node's own disk, or the database it shares; raises OperatorError."""
    if settings.shared.database_url is None:
        disk = OwnDisk.open(settings, view.supplier, domain)
        log.info("receipt log replayed", extra={"receipts": disk.receipts})
        return disk
    backing: Backing = import_shared().Sharing.open(settings, view, domain, metrics)
    return backing


@asynccontextmanager
async def _kept_up(backing: Backing) -> AsyncIterator[None]:
    """Keep it up, open relays' last seconds included; where it fails, the node ends."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(backing.run())
            try:
                yield
            finally:
                running.cancel()
    finally:
        await backing.close()


async def _serve(
    node: _Node, relay_server: type[RelayServer], ready: Ready, stop: asyncio.Event
) -> None:
    relays = _relays(node, relay_server)
    control = _control(node)
    try:
        server = await _listen(node)

        def announce(url: str) -> None:
            ready({"port": server.port, "supplier": node.view.supplier, "engine": url})

        try:
            async with control.listening():
                await _until(
                    stop,
                    _follow_chain(node, relays),
                    node.fleet.run(),
                    _announce(node, announce),
                    _trade(node),
                )
        finally:
            await server.close(node.settings.server.drain_s)
    finally:
        await node.fleet.close()


async def _follow_chain(node: _Node, relays: RelayServer) -> None:
    """Wait for the chain, take relays, settle what was served and show it; until cancelled."""
    await until_reachable(lambda: _meet_chain(node))
    await node.backing.started()
    await node.backing.receipt_log.enter(node.view.current)
    node.door.open(Endpoints(_desk(node, relays)).handle)
    settler = _settler(node)
    _reload_on_hangup(node, settler)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(settler.run())
        tasks.create_task(node.operators.follow(node.settings.chain.poll_s))
        tasks.create_task(_vitals(node).run())
        if node.settings.server.metrics_port:
            tasks.create_task(_run_board(node, relays))
        if node.dialler is not None:
            tasks.create_task(_dial_out(node.dialler, node.settings.server.drain_s))


async def _dial_out(dialler: Dialler, drain_s: float) -> None:
    """Keep lines to the gateways, until cancelled; then finish what they carry."""
    try:
        await dialler.run()
    finally:
        await dialler.close(drain_s)


async def _trade(node: _Node) -> None:
    """Trade in auctions where this node is the one that does, until cancelled."""
    trader = open_trader(node.settings, node.market, node.operators)
    while trader.wishes:
        if node.backing.office.is_ours:
            await trader.step()
        await asyncio.sleep(node.settings.auction.poll_s)


async def _meet_chain(node: _Node) -> None:
    """Return once the chain has said that contracts are there, and of what model services are."""
    await node.market.verify()
    await node.view.start()

    async def listed(service: Hash32) -> Hash32:
        return (await node.view.service(service)).spec_hash

    async def is_needed(service: Hash32) -> bool:
        try:
            return await is_bound(node.view, node.backing.settled, service)
        except ChainError:
            return True

    await node.fleet.assign(node.settings.services, listed, is_needed)


async def _announce(node: _Node, announce: Callable[[str], None]) -> None:
    """Say that relays are taken, once they are."""
    await node.fleet.is_up.wait()
    await node.door.opened.wait()
    announce(", ".join(node.fleet.urls))


def _control(node: _Node) -> Control:
    """What commands may ask of this node."""

    async def restart(request: dict[str, Any], say: Callable[[str], None]) -> None:
        await node.fleet.restart(str(request.get("engine")), say)

    async def change(request: dict[str, Any], say: Callable[[str], None]) -> None:
        in_place = request.get("in_place") is True
        await node.fleet.apply(node.reread(), say, in_place=in_place)

    return Control(node.settings.data_dir / CONTROL, {"restart": restart, "change": change})


async def _until(stop: asyncio.Event, *loops: Coroutine[None, None, None]) -> None:
    """Run the node's loops side by side until `stop`; one that fails ends them all."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop) for loop in loops]
        await stop.wait()
        for task in running:
            task.cancel()


async def _run_board(node: _Node, relays: RelayServer) -> None:
    """Serve the admin port's page and the metrics, until cancelled."""
    board = await until_reachable(lambda: _open_board(node, relays))
    settings, handler = node.settings.server, metrics_handler(node.metrics.registry)
    server = await serve(
        site_handler(board.site, handler), settings.metrics_host, settings.metrics_port
    )
    try:
        await board.run()
    finally:
        board.close()
        await server.close(0.0)


async def _open_board(node: _Node, relays: RelayServer) -> Board:
    """The page on the admin port, which looks at the node and changes nothing."""
    sources = Sources(
        node.view.supplier, node.view, node.backing.books, node.backing.store, node.fleet.summary,
        lambda: len(relays.open), node.settings.settlement.gas_units_per_claim,
    )  # fmt: skip
    return await Board.open(node.market, sources)


async def _listen(node: _Node) -> Server:
    settings = node.settings.server
    limits = Limits(body_bytes_max=settings.body_bytes_max, write_stall_s=settings.write_timeout_s)
    context = None if node.tls is None else node.tls.context
    return await serve(node.door.handle, settings.host, settings.port, limits, ssl=context)


def _dialler(
    settings: Settings, view: ChainView, operators: Operators, door: Door, metrics: Metrics,
    sharding: Sharding,
) -> Dialler | None:  # fmt: skip
    """What dials the gateways, where they cannot reach this server."""
    if not settings.dials_out:
        return None
    market, dial, server = view.market, settings.dial, settings.server
    services = [parse_hex("services", each, 32) for each in settings.services]
    urls = {parse_hex("dial.urls", each, 20): urls for each, urls in dial.urls.items()}
    finder = GatewayFinder(market, services, dial.gateways_max, urls)
    is_local = market.book.chain_id == LOCALNET_CHAIN_ID
    caller = Caller(
        view.supplier, market.domain, lambda: view.current, operators.of, finder.key,
        dial.connect_s, load_client_tls(dial.tls, "dial.tls"),
        None if is_local else AddressGuard(dial.allow_networks),
    )  # fmt: skip
    limits = Limits(
        body_bytes_max=server.body_bytes_max,
        write_stall_s=server.write_timeout_s,
        idle_s=dial.silence_s,
    )
    rules = TrunkRules(dial.spare, dial.lines_max, dial.retry_s_max)
    handler = only_relays(door.handle)

    def open_trunk(place: Place) -> Trunk:
        return Trunk(place.gateway, place.url, caller, handler, limits, rules, metrics)

    return Dialler(view, finder, open_trunk, settings.chain.poll_s, sharding)


def _relays(node: _Node, relay_server: type[RelayServer]) -> RelayServer:
    """The relay server, whose engines are still to come."""
    books, receipt_log = node.backing.books, node.backing.receipt_log
    sign_off = SignOff(books, node.market.domain, node.operators.of, receipt_log)
    stations, traces = node.fleet.stations, node.traces
    return relay_server(node.pool, stations, sign_off, books, node.metrics, traces=traces)


def _desk(node: _Node, relays: RelayServer) -> Desk:
    settings, backing = node.settings, node.backing
    receipts = ReceiptDesk(
        backing.books, backing.receipt_log, node.market.domain, node.operators.of, node.metrics,
        backing.sharding,
    )  # fmt: skip

    async def health() -> dict[str, Any]:
        good = node.fleet.stations.is_open and not receipts.has_failed
        return {
            "status": "ok" if good else "failing",
            "version": version("lode"),
            "engines": node.fleet.summary(),
            "receipt_log": not receipts.has_failed,
            "supplier": "0x" + node.view.supplier.hex(),
            "operators": ["0x" + each.hex() for each in node.operators.held],
            "head": node.view.head,
            "session": node.view.current,
            "open_relays": len(relays.open),
            "clock_skew_s": round(node.view.skew.skew_s, 1),
            "gateways": node.dialler.summary() if node.dialler is not None else [],
            "settles": backing.office.is_ours,
        }

    directory = SessionDirectory(
        node.view, backing.books, backing.receipt_log, node.operators.of, node.fleet.faces,
        DirectoryRules(
            settings.server.session_lookups_max, settings.settlement.gateway_fee_bps_max
        ),
        backing.sharding,
    )  # fmt: skip
    return Desk(
        books=backing.books,
        directory=directory,
        relays=relays,
        receipts=receipts,
        domain=node.market.domain,
        rules=AdmissionRules(settings.server.expiry_s_max),
        services=node.fleet.faces,
        metrics=node.metrics,
        relays_open_max=settings.server.relays_open_max,
        health=health,
        clock=settings.now,
    )


def _reload_on_hangup(node: _Node, settler: Settler) -> None:
    """At SIGHUP read certificates and settings again."""

    def take_keys(settings: Settings) -> None:
        for key in load_operators(settings.keys, node.market.book.chain_id):
            node.operators.add(key)

    def take_credit(settings: Settings) -> None:
        node.backing.books.credit = compute_policy(settings.credit)

    targets: dict[str, Callable[[Settings], None]] = {
        "admission": lambda settings: node.fleet.configure(settings.admission),
        "credit": take_credit,
        "engine": node.fleet.propose,
        "engines": node.fleet.propose,
        "services": node.fleet.propose,
        "keys": take_keys,
        "settlement": lambda settings: settler.configure(settings.settlement),
    }
    reloader = Reloader(node.settings, node.reread, targets)

    def reload() -> None:
        if node.tls is not None:
            node.tls.try_renew()
        reloader.reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _vitals(node: _Node) -> Vitals:
    settings = node.settings
    subject = Subject(
        node.view.supplier, node.fleet.faces, settings.data_dir,
        settings.settlement.gas_units_per_claim,
    )  # fmt: skip
    return Vitals(subject, node.view, node.backing.settled, node.metrics)


def _settler(node: _Node) -> Settler:
    settlement, services = node.settings.settlement, node.fleet.faces
    folder, backing = settlement.bundles_dir, node.backing
    hand_out = HandOut(BundleFolder(folder), node.metrics) if folder else None
    claimer = Claimer(
        node.view, node.operators, backing.settled, backing.receipt_log, node.miner, node.metrics,
        settlement.bond_percent, hand_out,
    )  # fmt: skip
    ends = Ends(backing.settled, backing.receipt_log, backing.store, node.metrics, hand_out)
    return Settler(
        node.view, node.operators, node.miner, claimer, ends, settlement, services, backing.office
    )


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop
