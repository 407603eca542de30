"""Putting a gateway together: the only module that builds its objects."""

import asyncio
import random
import time
from collections.abc import (
    AsyncIterator,
    Mapping,
)
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from contracts import Market, SkewWatch
from gateway.access.accounts import Accounts
from gateway.access.admission import Admission
from gateway.access.api_keys import KeyStore
from gateway.access.audit_log import CONTROL_PLANE
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.limits import SECOND_NS
from gateway.access.shared_limits import SharedLimits, load_replica
from gateway.access.table_reload import TableReload
from gateway.api.batch_run import BatchRunner
from gateway.api.batches import Batches
from gateway.api.data_plane import DataPlane
from gateway.api.file_store import DirectoryStore
from gateway.api.files import Files
from gateway.api.leases import Leases
from gateway.api.once import Once
from gateway.books.history import History
from gateway.books.ledger import Ledger
from gateway.books.recovery import recover
from gateway.books.retention import open_daily
from gateway.dialling import DIAL_PATH, Directory, Door, LineKeeper, Lobby
from gateway.edge.plane import EdgePlane
from gateway.gauges import watch, watch_load
from gateway.metrics import Metrics
from gateway.routing.auditing import Auditor
from gateway.routing.dispatch import Dispatcher
from gateway.routing.market import Refresher
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
from gateway.settlement.delivery import Deliverer
from gateway.settlement.funds_watch import FundsWatch, SessionSpending
from gateway.settlement.outbox import Outbox, read_accepted
from gateway.settlement.recounting import RecountWorker
from gateway.settlement.settling import Settler, load_dropped
from gateway.settlement.spool import Spool, restore_outbox
from node.addresses import AddressGuard
from node.append_log import AppendLog
from node.errors import SettingsError
from node.http import ClientLimits, ClientPool, Lines
from node.keystore import LOCALNET_CHAIN_ID
from node.settings import parse_hex
from node.tls import load_client_tls
from node.traces import Traces, open_traces
from relay_mining import Address, Signer

FUNDS_PAUSE = 20
"""Looks at the chain for one look at the escrows."""


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


def open_accounts(settings: Settings, ledger: Ledger) -> Accounts:
    """The keys, none of which is known yet, over what the ledger says they spent."""
    age_s = settings.keys_age_s_max
    return Accounts(ledger.spending, age_ns_max=None if age_s is None else int(age_s * SECOND_NS))


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
        accounts, table = open_accounts(settings, ledger), SessionTable()
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
        watch(metrics, outbox, settler, refresher, accounts)
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


def read_models(settings: Settings) -> dict[str, bytes]:
    """Services by the names of the settings."""
    return {name: parse_hex(name, each, 32) for name, each in settings.models.items()}
