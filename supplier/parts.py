"""Everything that a serving node is made of, built from its settings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from contracts import Market, SkewWatch
from node.addresses import AddressGuard
from node.errors import OperatorError
from node.http import ClientLimits, ClientPool, Limits
from node.keystore import LOCALNET_CHAIN_ID
from node.settings import parse_hex
from node.tls import ServerTls, load_client_tls, load_server_tls
from node.traces import Traces, open_traces
from relay_mining import Domain
from supplier.dialling import Caller, Dialler, GatewayFinder, Place, Trunk, TrunkRules, only_relays
from supplier.fleet import Fleet, open_fleet
from supplier.keys import load_operators
from supplier.metrics import Metrics
from supplier.mining.alone import Sharding
from supplier.mining.backing import Backing, OwnDisk
from supplier.mining.chain_view import ChainView
from supplier.mining.miner import Miner
from supplier.mining.operators import Operators
from supplier.operation.ledger import import_shared
from supplier.server.door import Door
from supplier.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
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


def open_node(
    settings: Settings, market: Market, pool: ClientPool, miner: type[Miner],
    reread: Callable[[], Settings],
) -> Node:  # fmt: skip
    """Build the parts; logs are replayed, nothing listens yet.

    Raises OperatorError and KeystoreError.
    """
    tls, supplier = load_server_tls(settings.server.tls, "server.tls"), settings.supplier()
    if not settings.services:
        raise OperatorError("no services: run `supplier list` and name the service in the config")
    metrics, door = Metrics(), Door()
    fleet = open_fleet(settings, pool, metrics)
    keys = load_operators(settings.keys, market.book.chain_id)
    view = ChainView(
        market, supplier, settings.chain.confirmations, settings.chain.poll_s,
        SkewWatch(settings.now),
    )  # fmt: skip
    operators = Operators(view, keys, settings.chain.policy())
    backing = open_backing(settings, view, market.domain, metrics)
    return Node(
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
        dialler=open_dialler(settings, view, operators, door, metrics, backing.sharding),
        tls=tls,
        reread=reread,
    )


def open_pool(settings: Settings) -> ClientPool:
    """The connections to all engines."""
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


def open_dialler(
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
