"""What works on a node's parts: it serves relays, takes receipts, settles, and watches itself."""

from importlib.metadata import version
from typing import Any

from supplier.mining.bundles import BundleFolder
from supplier.mining.claiming import Claimer
from supplier.mining.directory import DirectoryRules, SessionDirectory
from supplier.mining.ends import Ends
from supplier.mining.handing_out import HandOut
from supplier.mining.receipts import ReceiptDesk
from supplier.mining.settler import Settler
from supplier.operation.vitals import Subject, Vitals
from supplier.parts import Node
from supplier.server.admission import AdmissionRules
from supplier.server.endpoints import Desk
from supplier.server.relays import RelayServer
from supplier.server.serving import SignOff


def open_relays(node: Node, relay_server: type[RelayServer]) -> RelayServer:
    """The relay server, whose engines are still to come."""
    books, receipt_log = node.backing.books, node.backing.receipt_log
    sign_off = SignOff(books, node.market.domain, node.operators.of, receipt_log)
    stations, traces = node.fleet.stations, node.traces
    return relay_server(node.pool, stations, sign_off, books, node.metrics, traces=traces)


def open_desk(node: Node, relays: RelayServer) -> Desk:
    """What the endpoints put together."""
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
        gateway_relays_max=settings.server.gateway_relays_max,
        health=health,
        clock=settings.now,
    )


def open_settler(node: Node) -> Settler:
    """What claims, proves and settles."""
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


def open_vitals(node: Node) -> Vitals:
    """What shows how the node is."""
    settings = node.settings
    subject = Subject(
        node.view.supplier, node.fleet.faces, settings.data_dir,
        settings.settlement.gas_units_per_claim,
    )  # fmt: skip
    return Vitals(subject, node.view, node.backing.settled, node.metrics)
