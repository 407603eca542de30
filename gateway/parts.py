"""Putting a gateway together, of what `gateway.opening` and the settings make."""

import random
import time
from collections.abc import (
    AsyncIterator,
    Mapping,
)
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from contracts import Market, SkewWatch
from gateway.access.accounts import Accounts
from gateway.access.admission import Admission
from gateway.access.api_keys import KeyStore
from gateway.access.shared_limits import SharedLimits, load_replica
from gateway.access.table_reload import TableReload
from gateway.api.data_plane import DataPlane
from gateway.api.file_store import DirectoryStore
from gateway.api.once import Once
from gateway.books.history import History
from gateway.books.ledger import Ledger
from gateway.books.retention import open_daily
from gateway.dialling import Directory, LineKeeper
from gateway.edge.plane import EdgePlane
from gateway.gauges import watch, watch_load
from gateway.metrics import Metrics
from gateway.opening import (
    build_pool,
    complete,
    open_accounts,
    open_door,
    open_limits,
    open_router,
    open_tables,
    open_tracing,
    read_models,
)
from gateway.routing.auditing import Auditor
from gateway.routing.dispatch import Dispatcher
from gateway.routing.loading import SessionLoader
from gateway.routing.market import Refresher
from gateway.routing.observation import fan_out
from gateway.routing.reaching import FOLDER as REACH_FOLDER
from gateway.routing.reaching import Reacher, urls_in
from gateway.routing.relay import RelaySigner
from gateway.routing.relaying import RelayLimits, Relays
from gateway.routing.renewing import renew
from gateway.routing.retry_budget import RetryBudget
from gateway.routing.sessions import SessionTable
from gateway.routing.specs import SpecLibrary
from gateway.routing.supplier_view import SupplierView
from gateway.routing.upstream import Upstream
from gateway.routing.waiting_room import WaitingRoom
from gateway.settings import Settings
from gateway.settlement.delivery import Deliverer
from gateway.settlement.funds_watch import FundsWatch, SessionSpending
from gateway.settlement.outbox import Outbox
from gateway.settlement.recounting import RecountWorker
from gateway.settlement.settling import Settler
from gateway.settlement.spool import Spool, restore_outbox
from node.http import Lines
from node.settings import parse_hex
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
            partial(renew, table),
            sending.tries_max,
            sending.beat_s,
        )
        application = parse_hex("application", settings.application, 20)
        refresher = Refresher(
            market, table,
            SessionLoader(
                market, SpecLibrary(pool, worker, {}, settings.edge.audit_ppm), gateway,
                read_models(settings),
            ),
            lambda: accounts.applications | {application},
            settings.chain.poll_s, skew=SkewWatch(settings.now),
        )  # fmt: skip
        deliverer = Deliverer(
            outbox, receipts_log, signer, pool, refresher.loader.locate, standing,
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
        data_plane.mount(REACH_FOLDER, Reacher(pool, urls_in(market)).answer)
        keeper = open_door(
            settings, data_plane, lines, Directory(refresher.loader, table, signer), metrics
        )
        watch(metrics, deliverer, settler, refresher, accounts)
        funds = FundsWatch(
            market, table, refresher.applications, spending, FUNDS_PAUSE * settings.chain.poll_s
        )
        watch_load(metrics, relays, funds)
        yield Node(
            settings, table, accounts, tables.keys, tables, limits, funds, settler, deliverer,
            ledger, refresher, data_plane, once, suppliers, metrics.registry, application, keeper,
        )  # fmt: skip
