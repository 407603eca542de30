"""The serving node: builds every part once, runs them in one task group, and drains at the end."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from contracts import Market, TxSender
from node.dashboard import site_handler
from node.errors import OperatorError
from node.http import ClientLimits, ClientPool, Limits, Server, serve
from node.settings import parse_hex
from node.telemetry import metrics_handler
from node.tls import ServerTls, load_server_tls
from relay_mining import Address, Hash32, Signer
from supplier.admission import AdmissionRules
from supplier.books import Books
from supplier.chain_view import ChainView
from supplier.claiming import Claimer
from supplier.credit import compute_policy
from supplier.dashboard import Board, Sources
from supplier.directory import DirectoryRules, SessionDirectory
from supplier.endpoints import Desk, Endpoints, ServiceFace
from supplier.ends import Ends
from supplier.engine import build_engine, start_unless
from supplier.engine_monitor import EngineMonitor
from supplier.engines.spec import ServiceSpec, encode_service_spec, hash_service_spec
from supplier.exchange import EngineAddress
from supplier.gate import Gate
from supplier.keys import load_operator
from supplier.metrics import Metrics
from supplier.miner import Miner
from supplier.receipt_log import ReceiptLog
from supplier.receipts import ReceiptDesk
from supplier.recovery import restore_books
from supplier.relays import RelayServer
from supplier.services import build_face
from supplier.serving import SignOff
from supplier.settings import Settings
from supplier.settler import Settler
from supplier.store import STORE, Store
from supplier.vitals import Subject, Vitals

log = logging.getLogger(__name__)

Ready = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class _Node:
    """Everything that lives as long as the node."""

    settings: Settings
    market: Market
    view: ChainView
    signer: Signer
    supplier: Address
    spec: ServiceSpec
    services: dict[Hash32, ServiceFace]
    books: Books
    receipt_log: ReceiptLog
    metrics: Metrics
    store: Store
    tls: ServerTls | None
    relays: type[RelayServer]


async def run(
    settings: Settings,
    miner: type[Miner] = Miner,
    relays: type[RelayServer] = RelayServer,
    ready: Ready = lambda facts: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve, claim and prove until `stop` (by default SIGTERM or SIGINT); then drain.

    `miner` decides what is claimed, `relays` what is served. `ready` is told the port once relays
    are taken. Raises OperatorError, ChainError and KeystoreError where the node cannot start.
    """
    stop = stop or _stop_on_signals()
    tls = load_server_tls(settings.server.tls, "server.tls")
    market = await Market.open(settings.chain)
    async with market:
        supplier = settings.supplier()
        view = ChainView(market, supplier, settings.chain.confirmations, settings.chain.poll_s)
        await view.start()
        key = load_operator(settings.keys, market.book.chain_id)
        spec, services = await _check_services(settings, view)
        store = Store(settings.data_dir / STORE)
        books = Books(supplier, compute_policy(settings.credit), store.history())
        receipt_log = ReceiptLog(settings.data_dir / "receipts")
        signer = Signer(key.reveal())
        count = restore_books(books, receipt_log, market.domain, time.time())
        await receipt_log.enter(view.current)
        log.info("receipt log replayed", extra={"receipts": count})
        node = _Node(
            settings, market, view, signer, supplier, spec, services, books, receipt_log, Metrics(),
            store, tls, relays,
        )  # fmt: skip
        sender = TxSender(market.chain, key.reveal(), settings.chain.policy())
        try:
            await _serve(node, sender, miner(supplier, market.domain, receipt_log), ready, stop)
        finally:
            await receipt_log.close()
            store.close()


async def _serve(
    node: _Node, sender: TxSender, miner: Miner, ready: Ready, stop: asyncio.Event
) -> None:
    engine_settings = node.settings.engine
    limits = ClientLimits(
        body_bytes_max=engine_settings.answer_bytes_max,
        connections_per_origin_max=engine_settings.connections_max,
    )
    async with ClientPool(limits) as pool:
        engine = build_engine(engine_settings, pool, node.spec)
        url = await start_unless(engine, stop)
        if url is None:
            return
        relays = _relays(node, pool, url)
        monitor = EngineMonitor(engine, pool, node.metrics)
        endpoints = Endpoints(_desk(node, relays, monitor))
        settler = _settler(node, sender, miner)
        try:
            board = await _open_board(node, relays, monitor)
            servers = await _listen(node, endpoints, board)
            try:
                ready({"port": servers[0].port, "supplier": node.supplier, "engine": url})
                await _until(
                    stop,
                    settler.run(),
                    _vitals(node).run(),
                    engine.watch(relays.move),
                    monitor.run(engine_settings.watch_interval_s, relays.move),
                    board.run(),
                )
            finally:
                board.close()
                for server in servers:
                    await server.close(node.settings.server.drain_s)
        finally:
            await engine.stop()


async def _until(stop: asyncio.Event, *loops: Coroutine[None, None, None]) -> None:
    """Run the node's loops side by side until `stop`; one that fails ends them all."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop) for loop in loops]
        await stop.wait()
        for task in running:
            task.cancel()


async def _open_board(node: _Node, relays: RelayServer, monitor: EngineMonitor) -> Board:
    """The page on the admin port, which looks at the node and changes nothing."""
    sources = Sources(
        node.supplier, node.view, node.books, node.store, monitor.summary,
        lambda: len(relays.open), node.settings.settlement.gas_units_per_claim,
    )  # fmt: skip
    return await Board.open(node.market, sources)


async def _listen(node: _Node, endpoints: Endpoints, board: Board) -> list[Server]:
    settings = node.settings.server
    limits = Limits(body_bytes_max=settings.body_bytes_max, write_stall_s=settings.write_timeout_s)
    context = None
    if node.tls is not None:
        context = node.tls.context
        node.tls.renew_on_hangup()
    servers = [await serve(endpoints.handle, settings.host, settings.port, limits, ssl=context)]
    if settings.metrics_port:
        handler = site_handler(board.site, metrics_handler(node.metrics.registry))
        servers.append(await serve(handler, settings.metrics_host, settings.metrics_port))
    return servers


def _relays(node: _Node, pool: ClientPool, url: str) -> RelayServer:
    address = EngineAddress(url, node.settings.engine.timeout_s)
    sign_off = SignOff(node.books, node.market.domain, node.signer, node.receipt_log)
    settings = node.settings
    gate = Gate(settings.admission, settings.server.relays_open_max, node.metrics)
    return node.relays(pool, address, sign_off, node.books, node.metrics, gate)


def _desk(node: _Node, relays: RelayServer, monitor: EngineMonitor) -> Desk:
    settings = node.settings
    receipts = ReceiptDesk(
        node.books, node.receipt_log, node.market.domain, node.signer, node.metrics
    )

    async def health() -> dict[str, Any]:
        good = monitor.is_up and not receipts.has_failed
        return {
            "status": "ok" if good else "failing",
            "version": version("lode"),
            "engine": monitor.summary(),
            "receipt_log": not receipts.has_failed,
            "supplier": "0x" + node.supplier.hex(),
            "head": node.view.head,
            "session": node.view.current,
            "open_relays": len(relays.open),
        }

    directory = SessionDirectory(
        node.view, node.books, node.receipt_log, node.signer, frozenset(node.services),
        DirectoryRules(
            settings.server.session_lookups_max, node.settings.settlement.gateway_fee_bps_max
        ),
    )  # fmt: skip
    return Desk(
        books=node.books,
        directory=directory,
        relays=relays,
        receipts=receipts,
        domain=node.market.domain,
        rules=AdmissionRules(settings.server.expiry_s_max),
        services=node.services,
        metrics=node.metrics,
        relays_open_max=settings.server.relays_open_max,
        health=health,
    )


def _vitals(node: _Node) -> Vitals:
    settings = node.settings
    subject = Subject(
        node.supplier, tuple(node.services), settings.data_dir,
        settings.settlement.gas_units_per_claim,
    )  # fmt: skip
    return Vitals(subject, node.view, node.books, node.metrics)


def _settler(node: _Node, sender: TxSender, miner: Miner) -> Settler:
    settlement = node.settings.settlement
    claimer = Claimer(
        node.view, sender, node.books, node.receipt_log, miner, node.metrics,
        settlement.bond_percent,
    )  # fmt: skip
    ends = Ends(node.books, node.receipt_log, node.store, node.metrics)
    return Settler(node.view, sender, miner, claimer, ends, settlement, node.services)


async def _check_services(
    settings: Settings, view: ChainView
) -> tuple[ServiceSpec, dict[Hash32, ServiceFace]]:
    """The spec of the model on this machine, and the served services; each must be of it."""
    if not settings.services:
        raise OperatorError("no services: run `supplier list` and name the service in the config")
    face, spec = build_face(settings.engine)
    spec_hash = hash_service_spec(spec)
    found: dict[Hash32, ServiceFace] = {}
    for text in settings.services:
        service = parse_hex("services", text, 32)
        listed = await view.service(service)
        if listed.spec_hash != spec_hash:
            raise OperatorError(
                f"service {text} has the spec hash {listed.spec_hash.hex()}, the model here "
                f"{spec_hash.hex()}, which is of {encode_service_spec(spec).decode()}"
            )
        found[service] = face
    return spec, found


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop
