"""A dashboard behind the chassis' own server."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import parse_qsl

from node.dashboard.exchange import Ask, Reply
from node.dashboard.site import Site
from node.http.errors import ClientDisconnected
from node.http.exchange import Request, StreamWriter
from node.http.messages import Response

QUERY_MAX = 512
Handler = Callable[[Request], Awaitable[Response | StreamWriter | None]]


def site_handler(site: Site, otherwise: Handler) -> Handler:
    """The handler of a site; what is not of it goes to `otherwise`."""

    async def handle(request: Request) -> Response | StreamWriter | None:
        reply = await site.answer(read_ask(request))
        if reply is None:
            return await otherwise(request)
        headers = [
            (name.encode(), value.encode())
            for name, value in reply.all_headers()
            if name != "content-type"
        ]
        if reply.stream is None:
            return Response(reply.status, reply.body, headers, reply.content_type.encode())
        return await _send(request, reply, headers)

    return handle


def read_ask(request: Request) -> Ask:
    """The request in the dashboard's words."""
    return Ask(
        request.method.decode("latin-1"),
        request.path.decode("latin-1"),
        dict(parse_qsl(request.query.decode("latin-1")[:QUERY_MAX])),
        {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers},
        request.body,
    )


async def _send(request: Request, reply: Reply, headers: list[tuple[bytes, bytes]]) -> StreamWriter:
    assert reply.stream is not None
    writer = request.respond_stream(reply.status, headers, reply.content_type.encode())
    request.cancel_on_disconnect()
    try:
        with suppress(ClientDisconnected):
            async for frame in reply.stream:
                await writer.write(frame)
            await writer.close()
    finally:
        if reply.on_end is not None:
            reply.on_end()
    return writer
