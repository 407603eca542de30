"""HTTP/1.1 as both nodes speak it: a strict server and a pooled client, bytes in, bytes out."""

from node.http.client import ClientPool, ClientResponse, ClientStream
from node.http.connection import Answer, Handler
from node.http.errors import (
    AddressRefused,
    BadResponse,
    BadUrl,
    ClientDisconnected,
    ClosedEarly,
    ConnectFailed,
    HttpClientError,
    HttpError,
    HttpServerError,
    RequestRefused,
    TimedOut,
    TooLarge,
)
from node.http.exchange import Request, StreamWriter
from node.http.limits import ClientLimits, Limits, Timeout
from node.http.lines import LineRules, Lines, line_url
from node.http.loop import run
from node.http.messages import HeaderList, Headers, Response, Upgrade
from node.http.server import Server, serve
from node.http.upgrading import Upgraded, UpgradeRefused, open_upgrade

__all__ = [
    "AddressRefused",
    "Answer",
    "BadResponse",
    "BadUrl",
    "ClientDisconnected",
    "ClientLimits",
    "ClientPool",
    "ClientResponse",
    "ClientStream",
    "ClosedEarly",
    "ConnectFailed",
    "Handler",
    "HeaderList",
    "Headers",
    "HttpClientError",
    "HttpError",
    "HttpServerError",
    "Limits",
    "LineRules",
    "Lines",
    "Request",
    "RequestRefused",
    "Response",
    "Server",
    "StreamWriter",
    "TimedOut",
    "Timeout",
    "TooLarge",
    "Upgrade",
    "UpgradeRefused",
    "Upgraded",
    "line_url",
    "open_upgrade",
    "run",
    "serve",
]
