"""Which of a supplier's relay servers serves this gateway, as those servers say.

A supplier may run several behind its registered URL. One that serves other gateways answers 421 and
names the right one in `lode-server`, where everything goes from then on.
"""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from node.http import ClientPool, ConnectFailed, Headers, HttpClientError, Timeout

MISDIRECTED_STATUS = 421
SERVER_HEADER = b"lode-server"
URL_LENGTH_MAX = 512
HEALTH_PATH = "/lode/v1/health"
WATCH_S = 2.0
PROBE = Timeout(2.0, 2.0, 2.0, 2.0)
PAUSE_S = 0.25
"""Between one round of asking and the next, while a supplier's servers change over."""


class Servers:
    """What was learned, by registered URL."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.learned: dict[str, str] = {}
        self.clock = clock

    async def watch(self, pool: ClientPool) -> None:
        """Forget servers that are silent, until cancelled; another may serve us by then."""
        while True:
            await asyncio.sleep(WATCH_S)
            await asyncio.gather(*(self._look(pool, *each) for each in self.learned.items()))

    async def _look(self, pool: ClientPool, registered: str, url: str) -> None:
        try:
            await pool.request(b"GET", url + HEALTH_PATH, (), b"", PROBE)
        except HttpClientError:
            if self.learned.get(registered) == url:
                del self.learned[registered]

    def route(self, registered: str, patience_s: float) -> "Route":
        """The way to a supplier's relay server, for one request."""
        return Route(self, registered, patience_s)


class Route:
    """One request's way; `patience_s` bounds how long it looks for the right server."""

    def __init__(self, servers: Servers, registered: str, patience_s: float) -> None:
        self._servers = servers
        self._registered = registered
        self._until = servers.clock() + patience_s
        self._hops = 0
        self.url = self._newest
        """Where to send the request now."""

    async def is_elsewhere(self, status: int, headers: Headers) -> bool:
        """Whether an answer says to send the same request to another server, which `url` is now."""
        said = headers.get(SERVER_HEADER)
        if status != MISDIRECTED_STATUS or said is None or self._is_over:
            return False
        url = said.decode("latin-1").rstrip("/")
        if not _may_follow(self._registered, url):
            return False
        self._servers.learned[self._registered] = url
        self._hops += 1
        if self._hops > 1:
            await asyncio.sleep(PAUSE_S)
        self.url = self._newest
        return True

    async def is_worth_another(self, error: HttpClientError) -> bool:
        """Whether to ask at the registered URL again, since the server was not there at all."""
        failed = self.url
        if self._servers.learned.get(self._registered) == failed:
            del self._servers.learned[self._registered]  # unless another request was faster
        self.url = self._newest
        was_learned = failed != self._registered
        if not was_learned or not isinstance(error, ConnectFailed) or self._is_over:
            return False
        await asyncio.sleep(PAUSE_S)
        self.url = self._newest
        return True

    @property
    def _newest(self) -> str:
        return self._servers.learned.get(self._registered, self._registered)

    @property
    def _is_over(self) -> bool:
        return self._servers.clock() >= self._until


def _may_follow(registered: str, url: str) -> bool:
    """No way from TLS to clear text, and nothing but a base URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    schemes = {"https": ("https",), "http": ("http", "https")}.get(urlsplit(registered).scheme, ())
    is_base = not (parts.query or parts.fragment or parts.username or parts.password)
    return (
        parts.scheme in schemes and bool(parts.hostname) and is_base and len(url) <= URL_LENGTH_MAX
    )
