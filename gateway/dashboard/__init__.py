"""The gateway's dashboard: a read model of the market, fed by chain events and observations."""

from gateway.dashboard.board import Board, Sources, parse_id
from gateway.dashboard.desk import Desk
from gateway.dashboard.market_views import Scene
from gateway.dashboard.service_views import view_service, view_services
from gateway.dashboard.shapes import Json
from gateway.dashboard.shell import add_site

__all__ = [
    "Board",
    "Desk",
    "Json",
    "Scene",
    "Sources",
    "add_site",
    "parse_id",
    "view_service",
    "view_services",
]
