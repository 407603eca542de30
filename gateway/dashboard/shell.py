"""The dashboard behind FastAPI: its paths, and nothing of what it answers."""

import asyncio

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.errors import RouteNotFoundError
from gateway.routing.relaying import CLIENT_LEFT
from node.dashboard import Ask, Reply, Site

PATHS = ("/assets/{rest:path}", "/dashboard/api/{rest:path}")


def add_site(app: FastAPI, site: Site) -> None:
    """Have an application serve a dashboard; its own routes, added before, go first."""

    async def answer(request: Request) -> Response:
        work = asyncio.create_task(site.answer(await read_ask(request)))
        if not await _is_waited_for(request, work):
            return Response(status_code=CLIENT_LEFT)
        reply = await work
        if reply is None:
            raise RouteNotFoundError(f"{request.method} {request.url.path}: see /openapi.json")
        return carry(reply)

    pages = [each.path + "{rest}" if each.takes_id else each.path for each in site.pages]
    for path in (*pages, *PATHS):
        app.add_api_route(path, answer, methods=["GET", "HEAD", "POST"], include_in_schema=False)


async def read_ask(request: Request) -> Ask:
    """The request in the dashboard's words."""
    return Ask(
        request.method,
        request.url.path,
        dict(request.query_params),
        dict(request.headers),
        await request.body(),
    )


class Stream(StreamingResponse):
    """A streamed reply, which is told its end however it came to it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.stream or (), reply.status)
        self._on_end = reply.on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._on_end is not None:
                self._on_end()


def carry(reply: Reply) -> Response:
    """The reply as FastAPI sends it."""
    response = Response(reply.body, reply.status) if reply.stream is None else Stream(reply)
    for name, value in reply.all_headers():
        response.headers.append(name, value)
    return response


async def _is_waited_for(request: Request, work: "asyncio.Task[Reply | None]") -> bool:
    """Wait for a reply; False where whoever asked left before, and its work is cancelled."""
    gone = asyncio.create_task(_leave(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        gone.cancel()
        work.cancel()


async def _leave(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # the body was read
