"""The dashboard behind FastAPI: its paths, and nothing of what it answers."""

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from gateway.errors import RouteNotFoundError
from node.dashboard import Ask, Reply, Site

PATHS = ("/assets/{rest:path}", "/dashboard/api/{rest:path}")


def add_site(app: FastAPI, site: Site) -> None:
    """Have an application serve a dashboard; its own routes, added before, go first."""

    async def answer(request: Request) -> Response:
        reply = await site.answer(await read_ask(request))
        if reply is None:
            raise RouteNotFoundError(f"{request.method} {request.url.path}: see /docs")
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


def carry(reply: Reply) -> Response:
    """The reply as FastAPI sends it."""
    if reply.stream is None:
        response: Response = Response(reply.body, reply.status)
    else:
        response = StreamingResponse(reply.stream, reply.status)
    for name, value in reply.all_headers():
        response.headers.append(name, value)
    return response
