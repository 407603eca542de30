"""The gateway's dashboard: a read model of the market, fed by chain events and observations."""

from gateway.dashboard.board import Board, Sources
from gateway.dashboard.shell import add_site

__all__ = ["Board", "Sources", "add_site"]
