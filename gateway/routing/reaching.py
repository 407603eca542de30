"""Whether this gateway reaches a supplier at the URL that it registered, for suppliers that ask.

Anybody may ask, so that a supplier without work learns why. What is opened is a registered URL, by
the rules that hold for relays; few are opened at a time, and what came of it is kept for a while.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import orjson

from contracts import ChainError, Market
from gateway.errors import GatewayBusyError
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call
from gateway.routing.servers import HEALTH_PATH
from gateway.routing.supplier_view import read_supplier
from node.http import ClientPool, HttpClientError, Response, Timeout
from relay_mining import DIALS_OUT, Address

FOLDER = b"/v1/reach/"
OPEN_MAX = 4
RETRY_S = 5
KEPT_S = 30.0
KEPT_MAX = 256
ANSWER = Timeout(connect=5.0, first_byte=5.0, read=5.0, total=10.0)

FindUrl = Callable[[Address], Awaitable[str]]
"""The URL that a supplier registered, empty where there is none; raises ChainError."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of opening a supplier's URL."""

    url: str
    is_reached: bool
    why: str = ""
    """Empty where it is reached."""


class Reacher:
    """Answers `GET /v1/reach/0x...`."""

    def __init__(
        self, pool: ClientPool, find_url: FindUrl, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._find_url = find_url
        self._clock = clock
        self._kept: OrderedDict[Address, tuple[float, Reached]] = OrderedDict()
        self._open = 0

    async def answer(self, call: Call, path: bytes) -> Answer:
        """Whether the supplier that the path names is reached."""
        supplier = read_supplier(path.removeprefix(FOLDER))
        found = await self.reach(supplier)
        page = {"supplier": "0x" + supplier.hex(), **asdict(found)}
        return Response(200, orjson.dumps(page), call.answer_headers)

    async def reach(self, supplier: Address) -> Reached:
        """What came of it, lately or now; raises GatewayBusyError."""
        at, kept = self._kept.get(supplier, (0.0, None))
        if kept is not None and self._clock() - at < KEPT_S:
            return kept
        if self._open >= OPEN_MAX:
            raise GatewayBusyError("others are being looked at", retry_after_s=RETRY_S)
        self._open += 1
        try:
            found = await self._look(supplier)
        finally:
            self._open -= 1
        self._kept[supplier] = self._clock(), found
        self._kept.move_to_end(supplier)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return found

    async def _look(self, supplier: Address) -> Reached:
        try:
            url = (await self._find_url(supplier)).rstrip("/")
        except ChainError:
            return Reached("", False, "the chain does not say where it is")
        if not url:
            return Reached("", False, "no such supplier is registered")
        if url.lower().startswith(DIALS_OUT):
            has_line = self._pool.has_line(supplier.hex())
            return Reached(url, has_line, "" if has_line else "it has no line to this gateway")
        try:
            answer = await self._pool.request(b"GET", url + HEALTH_PATH, timeout=ANSWER)
        except HttpClientError as error:
            return Reached(url, False, str(error))
        is_itself = _supplier_in(answer.body) == "0x" + supplier.hex()
        return Reached(url, is_itself, "" if is_itself else "something else answers there")


def _supplier_in(body: bytes) -> object:
    """Whose health page this is, as it says."""
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return page.get("supplier") if isinstance(page, dict) else None


def urls_in(market: Market) -> FindUrl:
    """Looks registered URLs up on the chain."""

    async def find(supplier: Address) -> str:
        if not await market.registry.is_supplier(supplier):
            return ""
        return (await market.registry.supplier(supplier)).url

    return find
