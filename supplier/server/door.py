"""The relay server's handler from the node's first moment on: shut until the chain is reached."""

import asyncio

from node.http import Handler, Request, Response
from node.http.connection import Answer
from supplier.errors import ChainUnavailableError

HEALTH_PATH = b"/lode/v1/health"
WAITING = b'{"status":"waiting for the chain"}'


class Door:
    """Answers 503 while it is shut: gateways ask another supplier, and bring receipts again."""

    def __init__(self) -> None:
        self._handler: Handler = _refuse
        self.opened = asyncio.Event()

    def open(self, handler: Handler) -> None:
        """Pass every request on from now."""
        self._handler = handler
        self.opened.set()

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        return await self._handler(request)


async def _refuse(request: Request) -> Response:
    if request.path == HEALTH_PATH:
        return Response(503, WAITING)
    error = ChainUnavailableError("this supplier waits for the chain")
    return Response(error.status, error.body())
