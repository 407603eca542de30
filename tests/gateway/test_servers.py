"""Following a supplier to the relay server that serves this gateway, and back when it is gone."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from gateway.routing.servers import Servers
from node.http import (
    ClientPool,
    ConnectFailed,
    Headers,
    HttpClientError,
    Request,
    Response,
    TimedOut,
    serve,
)

pytestmark = pytest.mark.anyio
REGISTERED = "https://gpu.example.com"
OTHER = "https://b.example.com"


def misdirected(url: str) -> Headers:
    return Headers([(b"lode-server", url.encode())])


async def test_a_misdirected_request_goes_where_it_is_told_and_so_do_all_later_ones() -> None:
    servers = Servers()
    route = servers.route(REGISTERED, 5.0)
    assert route.url == REGISTERED

    assert await route.is_elsewhere(421, misdirected(OTHER + "/"))

    assert route.url == OTHER
    assert servers.route(REGISTERED, 5.0).url == OTHER
    assert servers.route("https://another.example.com", 5.0).url == "https://another.example.com"


@pytest.mark.parametrize(
    ("status", "url"),
    [
        (421, ""),
        (421, "http://b.example.com"),
        (421, "ftp://b.example.com"),
        (421, "https://user:word@b.example.com"),
        (421, "https://b.example.com/?a"),
        (421, "https://[b"),
        (421, "https://" + "b" * 600),
        (429, OTHER),
        (200, OTHER),
    ],
)
async def test_what_is_no_way_to_a_server_is_not_followed(status: int, url: str) -> None:
    route = Servers().route(REGISTERED, 5.0)

    assert not await route.is_elsewhere(status, misdirected(url))
    assert route.url == REGISTERED


async def test_a_421_without_a_server_is_of_a_wrong_supplier() -> None:
    assert not await Servers().route(REGISTERED, 5.0).is_elsewhere(421, Headers([]))


async def test_servers_that_name_each_other_are_left_when_patience_is_over() -> None:
    now = [0.0]
    route = Servers(lambda: now[0]).route(REGISTERED, 1.0)
    assert await route.is_elsewhere(421, misdirected(OTHER))
    now[0] = 1.0
    assert not await route.is_elsewhere(421, misdirected("https://a.example.com"))


@pytest.mark.parametrize(
    ("error", "is_tried_again"),
    [(ConnectFailed("refused"), True), (TimedOut("first_byte"), False)],
)
async def test_a_server_that_fails_is_forgotten_and_asked_around_where_nothing_was_sent(
    error: HttpClientError, is_tried_again: bool
) -> None:
    route = Servers().route(REGISTERED, 5.0)
    await route.is_elsewhere(421, misdirected(OTHER))

    assert await route.is_worth_another(error) == is_tried_again
    assert route.url == REGISTERED
    assert not await route.is_worth_another(error)


async def test_every_request_that_a_dead_server_refused_is_asked_around() -> None:
    """Not only the first one, which forgets it: the others were sent to the same server."""
    servers = Servers()
    servers.learned[REGISTERED] = OTHER
    routes = [servers.route(REGISTERED, 5.0) for _ in range(3)]
    error = ConnectFailed("refused")

    assert await asyncio.gather(*(each.is_worth_another(error) for each in routes)) == [True] * 3
    assert [each.url for each in routes] == [REGISTERED] * 3


async def test_what_others_learned_of_a_new_server_is_kept_when_the_old_one_refuses() -> None:
    servers = Servers()
    servers.learned[REGISTERED] = OTHER
    late, fast = servers.route(REGISTERED, 5.0), servers.route(REGISTERED, 5.0)
    await fast.is_elsewhere(421, misdirected("https://c.example.com"))

    assert await late.is_worth_another(ConnectFailed("refused"))
    assert late.url == fast.url == "https://c.example.com"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers, as a stopped one does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_silent_server_is_forgotten_and_a_failing_one_kept(silent: str) -> None:
    async def ill(request: Request) -> Response:
        return Response(503)

    server = await serve(ill)
    servers = Servers()
    servers.learned = {"http://x": silent, "http://y": f"http://127.0.0.1:{server.port}"}
    async with ClientPool() as pool:
        watching = asyncio.create_task(servers.watch(pool))
        async with asyncio.timeout(20):
            while "http://x" in servers.learned:
                await asyncio.sleep(0.02)
        watching.cancel()
        await asyncio.wait({watching})

    assert "http://y" in servers.learned
    await server.close(0)
