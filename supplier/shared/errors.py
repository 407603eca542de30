"""What goes wrong between relay servers that share a database."""

from node.append_log import LogFailed
from supplier.mining.receipt_log import LogAwayError


class FencedError(LogFailed):
    """Others took this relay server for dead and serve its gateways: start it again."""


class SharedDatabaseError(LogAwayError):
    """The shared database is away, or did not answer in time."""
