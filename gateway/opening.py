"""The parts of a gateway that its settings shape, each built by itself for `gateway.parts`."""

import asyncio
import random
import time
from contextlib import AsyncExitStack

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyStore
from gateway.access.audit_log import CONTROL_PLANE
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.limits import SECOND_NS
from gateway.access.shared_limits import SharedLimits, load_replica
from gateway.access.table_reload import TableReload
from gateway.api.batch_documents import BatchDocuments
from gateway.api.batch_run import BatchRunner
from gateway.api.batches import Batches
from gateway.api.data_plane import DataPlane
from gateway.api.file_store import DirectoryStore
from gateway.api.files import Files
from gateway.api.leases import Leases
from gateway.api.once import Once
from gateway.books.ledger import Ledger
from gateway.books.recovery import recover
from gateway.dialling import DIAL_PATH, Directory, Door, LineKeeper, Lobby
from gateway.metrics import Metrics
from gateway.routing.prediction import Predictor
from gateway.routing.relaying import Relays
from gateway.routing.router import Router
from gateway.routing.standing import Standing
from gateway.settings import Settings
from gateway.settlement.outbox import read_accepted
from gateway.settlement.settling import load_dropped
from node.addresses import AddressGuard
from node.append_log import AppendLog
from node.errors import SettingsError
from node.http import ClientLimits, ClientPool, Lines
from node.keystore import LOCALNET_CHAIN_ID
from node.settings import parse_hex
from node.tls import load_client_tls
from node.traces import Traces, open_traces


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
    files = Files(relays.admission, DirectoryStore(data / "files"), rules.key_bytes_max)
    leases = Leases(store, load_replica(settings.data_dir))
    return Batches(relays.admission, files, BatchDocuments(store), runner, leases)


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
