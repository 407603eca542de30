"""Serving without an open port: gateways are dialled, and relays come over those connections."""

from supplier.dialling.dialler import Dialler
from supplier.dialling.gateways import GatewayFinder, Place
from supplier.dialling.handshake import Caller
from supplier.dialling.trunk import Trunk, TrunkRules, compute_missing, only_relays

__all__ = [
    "Caller",
    "Dialler",
    "GatewayFinder",
    "Place",
    "Trunk",
    "TrunkRules",
    "compute_missing",
    "only_relays",
]
