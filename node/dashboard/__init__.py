"""What the nodes' dashboards share: static parts, one site, one live stream, logging in."""

from node.dashboard.access import Access
from node.dashboard.assets import SHARED, Asset, Assets
from node.dashboard.chassis import site_handler
from node.dashboard.exchange import Ask, Reply, reply_error, reply_json
from node.dashboard.feed import Feed
from node.dashboard.ruler import Token, show_clock
from node.dashboard.site import Endpoint, Page, Site, last_part

__all__ = [
    "SHARED",
    "Access",
    "Ask",
    "Asset",
    "Assets",
    "Endpoint",
    "Feed",
    "Page",
    "Reply",
    "Site",
    "Token",
    "last_part",
    "reply_error",
    "reply_json",
    "show_clock",
    "site_handler",
]
