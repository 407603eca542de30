"""Connections that a server dials: HTTP with the roles reversed, bounds, and peers that lie."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import cast

import pytest

from node.http import (
    BadResponse,
    BadUrl,
    ClientPool,
    ClosedEarly,
    ConnectFailed,
    Handler,
    Limits,
    LineRules,
    Lines,
    Request,
    Response,
    Server,
    StreamWriter,
    TimedOut,
    Timeout,
    Upgrade,
    Upgraded,
    UpgradeRefused,
    line_url,
    open_upgrade,
    serve,
)
from node.http.client import parse_url
from node.tls import ClientTls, ListenerTls, ServerTls, load_client_tls
from tests.node.certificates import Authority
from tests.node.loops import on_loops, until
from tests.node.wire import echo, exchange, scripted

PROTOCOL = b"reversed"
LIMITS = Limits(upgrade=PROTOCOL)
SOON = Timeout(0.05, 1, 1, 5)
NOBODY = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: %b\r\n%b\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Filing(asyncio.Protocol):
    """Files the socket as soon as it is there, without asking who it is."""

    def __init__(self, lines: Lines, name: str, holder: bytes) -> None:
        self.lines, self.name, self.holder = lines, name, holder

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.lines.add(self.name, self.holder, cast(asyncio.Transport, transport)):
            transport.close()


@dataclass
class Exchange:
    """A listener that lines are dialled to, and the pool that sends on them."""

    url: str
    lines: Lines
    pool: ClientPool
    trusts: SSLContext = field(default_factory=create_default_context)
    sockets: list[Upgraded] = field(default_factory=list)

    async def dial(self, name: str = "a", holder: bytes = b"k") -> Upgraded:
        """A line whose other end says what the test makes it say."""
        headers = ((b"name", name.encode()), (b"holder", holder))
        upgraded = await open_upgrade(self.url, PROTOCOL, headers, 5, self.trusts)
        self.sockets.append(upgraded)
        return upgraded

    async def serve(self, handler: Handler, count: int = 1, name: str = "a") -> Server:
        """Answer on `count` lines as `name`."""
        server = Server(handler, Limits())
        for _ in range(count):
            upgraded = await self.dial(name)
            server.adopt(upgraded.transport, upgraded.take_rest())
        return server

    async def post(
        self, body: bytes = b"", name: str = "a", timeout: Timeout | None = None
    ) -> bytes:
        return (await self.pool.request("POST", line_url(name) + "/x", (), body, timeout)).body


@asynccontextmanager
async def an_exchange(
    rules: LineRules | None = None, ssl: SSLContext | None = None
) -> AsyncIterator[Exchange]:
    lines = Lines(rules)

    async def take(request: Request) -> Upgrade:
        name, holder = request.headers.get(b"name") or b"", request.headers.get(b"holder") or b""
        return Upgrade(PROTOCOL, lambda: Filing(lines, name.decode(), holder))

    server = await serve(take, limits=LIMITS, ssl=ssl)
    scheme = "http" if ssl is None else "https"
    async with ClientPool(lines=lines) as pool:
        found = Exchange(f"{scheme}://127.0.0.1:{server.port}/", lines, pool)
        try:
            yield found
        finally:
            lines.close()
            for upgraded in found.sockets:
                upgraded.transport.abort()
            await server.close(0)


@on_loops
async def test_requests_run_towards_whoever_dialled() -> None:
    async with an_exchange() as there:
        server = await there.serve(echo)

        assert [await there.post(b"%d" % n) for n in range(3)] == [b"0", b"1", b"2"]
        assert await there.post(b"x" * (5 << 20)) == b"x" * (5 << 20)
        assert (there.lines.total, server.connections) == (1, 1)
        await server.close(0)
        await until(lambda: not there.lines.total)


@on_loops
async def test_a_stream_left_early_ends_its_own_line_only() -> None:
    left = asyncio.Event()

    async def flow(request: Request) -> StreamWriter:
        writer = request.respond_stream()
        await writer.write(b"first")
        await request.disconnected
        left.set()
        return writer

    async with an_exchange() as there:
        server = await there.serve(flow, 2)
        async with there.pool.stream("GET", line_url("a") + "/x") as stream:
            async for chunk in stream.chunks():
                assert chunk == b"first"
                break
        await left.wait()
        await until(lambda: there.lines.total == 1)
        await server.close(0)


@on_loops
async def test_what_comes_right_behind_the_switch_is_not_lost() -> None:
    async with an_exchange() as there:
        upgraded = await there.dial()
        asked = asyncio.ensure_future(there.post(b"x" * (5 << 20)))
        early = await upgraded.read(100_000)
        server = Server(echo, Limits())
        server.adopt(upgraded.transport, early + upgraded.take_rest())

        assert await asked == b"x" * (5 << 20)
        await server.close(0)


@on_loops
async def test_who_has_no_line_is_not_waited_for_and_a_busy_one_is() -> None:
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return Response(200, request.body)

    async with an_exchange() as there:
        with pytest.raises(ConnectFailed):
            await there.post()
        server = await there.serve(wait)
        first = asyncio.ensure_future(there.post(b"first"))
        await until(lambda: server.in_flight)
        with pytest.raises(TimedOut, match="connect"):
            await there.post(timeout=SOON)
        second = asyncio.ensure_future(there.post(b"second"))
        given_up = asyncio.ensure_future(there.post(b"third"))
        await asyncio.sleep(0)
        given_up.cancel()
        gate.set()

        assert await asyncio.gather(first, second) == [b"first", b"second"]
        assert await there.post(b"fourth") == b"fourth"
        await server.close(0)
        await until(lambda: not there.lines.total)
        with pytest.raises(ConnectFailed):
            await there.post()


@on_loops
async def test_a_new_line_serves_who_waits() -> None:
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return Response(200, request.body)

    async with an_exchange() as there:
        busy = await there.serve(wait)
        first = asyncio.ensure_future(there.post(b"first"))
        await until(lambda: busy.in_flight)
        second = asyncio.ensure_future(there.post(b"second"))
        free = await there.serve(echo)

        assert await second == b"second"
        gate.set()
        assert await first == b"first"
        await busy.close(0)
        await free.close(0)


@on_loops
@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil I close", BadResponse),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\ncontent-le", ClosedEarly),
    ],
)
async def test_garbage_instead_of_an_answer_ends_the_line(
    says: bytes, error: type[Exception]
) -> None:
    async with an_exchange() as there:
        upgraded = await there.dial()
        asked = asyncio.ensure_future(there.post(b"x"))
        await upgraded.read(4)
        upgraded.transport.write(says)
        if error is ClosedEarly:
            upgraded.transport.close()
        with pytest.raises(error):
            await asked
        await until(lambda: not there.lines.total)


@on_loops
async def test_an_answer_nobody_asked_for_ends_the_line() -> None:
    async with an_exchange() as there:
        upgraded = await there.dial()
        asked = asyncio.ensure_future(there.post(b"x"))
        await upgraded.read(4)
        upgraded.transport.write(OK + OK)
        assert await asked == b"ok"
        await until(lambda: not there.lines.total)

        upgraded = await there.dial()
        upgraded.transport.write(OK)
        await until(lambda: not there.lines.total)


@on_loops
async def test_a_line_that_does_not_answer_a_beat_is_closed_and_others_stay() -> None:
    async with an_exchange(LineRules(beat_s=0, answer_s=0.05)) as there:
        server = await there.serve(echo, name="a")
        await there.dial("mute")
        await there.lines.beat()

        assert there.lines.names == ("a",)
        assert await there.post(b"x") == b"x"
        await server.close(0)


@on_loops
async def test_an_answer_to_a_beat_that_never_ends_holds_up_no_other_beat() -> None:
    """A byte now and then is no silence; it must not keep all lines from being asked."""
    async with an_exchange(LineRules(beat_s=0, answer_s=0.2)) as there:
        upgraded = await there.dial("slow")

        async def trickle() -> None:
            await upgraded.read(1)
            upgraded.transport.write(b"HTTP/1.1 200 OK\r\nx: ")
            while not upgraded.transport.is_closing():
                upgraded.transport.write(b"x")
                await asyncio.sleep(0.01)

        trickling = asyncio.ensure_future(trickle())
        async with asyncio.timeout(5):
            await there.lines.beat()
        await trickling
        assert there.lines.names == ()


@on_loops
async def test_whoever_dialled_can_have_a_spare_line_closed() -> None:
    async def spare(request: Request) -> Response:
        request.keep_alive = False
        return Response(204, b"", (), None)

    async with an_exchange(LineRules(beat_s=0)) as there:
        server = await there.serve(spare, 4)
        await there.lines.beat()
        await until(lambda: there.lines.total == 1)
        assert there.lines.count("a") == 1  # some are left for requests meanwhile
        await server.close(0)


@on_loops
async def test_lines_are_bounded_and_shared_out() -> None:
    rules = LineRules(lines_max=5, lines_per_name_max=4)
    async with an_exchange(rules) as there:
        for _ in range(6):
            await there.dial("greedy")
        assert there.lines.count("greedy") == 4
        for name in ("b", "c", "d"):
            await there.dial(name)
        assert there.lines.total == 5
        assert there.lines.count("greedy") == 2
        assert there.lines.has_room("e")
        assert not there.lines.has_room("b")  # it would have no fewer than whoever gave one up


@on_loops
async def test_lines_of_a_former_holder_end_busy_ones_after_their_answer() -> None:
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return Response(200, request.body)

    async with an_exchange() as there:
        server = await there.serve(wait, 2)
        asked = asyncio.ensure_future(there.post(b"x"))
        await until(lambda: server.in_flight)
        there.lines.retire("a", frozenset({b"k"}))
        assert there.lines.count("a") == 2
        there.lines.retire("a", frozenset({b"another"}))
        assert there.lines.count("a") == 1
        gate.set()
        assert await asked == b"x"
        assert there.lines.count("a") == 0
        await server.close(0)


@on_loops
async def test_a_line_runs_through_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("localhost", "127.0.0.1")
    secure = ServerTls(
        ListenerTls(certificate=identity.certificate, key=identity.key), "server.tls"
    )
    async with an_exchange(ssl=secure.context) as there:
        with pytest.raises(ConnectFailed):
            await there.dial()
        there.trusts = load_client_tls(ClientTls(ca_file=authority.bundle), "dial.tls")
        server = await there.serve(echo)

        assert await there.post(b"x" * (5 << 20)) == b"x" * (5 << 20)
        assert [await there.post(b"%d" % n) for n in range(3)] == [b"0", b"1", b"2"]
        assert there.lines.total == 1
        await server.close(0)
        await until(lambda: not there.lines.total)


@on_loops
async def test_a_server_switches_only_to_what_it_speaks_and_was_asked_for() -> None:
    async with an_exchange() as there:
        port = parse_url(there.url)[0].port
        bodied = b"content-length: 1\r\n"
        assert (await exchange(port, NOBODY % (b"h2c", b"")))[0] == 501
        assert (await exchange(port, NOBODY % (PROTOCOL, bodied) + b"x"))[0] == 501
        assert (await exchange(port, NOBODY.replace(b"GET", b"POST") % (PROTOCOL, b"")))[0] == 501
        assert (await exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"))[0] == 500
        assert not there.lines.total
    server = await serve(echo)
    with pytest.raises(UpgradeRefused, match="501"):
        await open_upgrade(f"http://127.0.0.1:{server.port}/", PROTOCOL, (), 5)
    await server.close(0)


@on_loops
async def test_a_server_that_ignores_the_wish_to_switch_is_heard() -> None:
    server = await serve(echo, limits=LIMITS)
    with pytest.raises(UpgradeRefused, match="200"):
        await open_upgrade(f"http://127.0.0.1:{server.port}/", PROTOCOL, (), 5)
    await server.close(0)


@on_loops
async def test_a_server_that_never_answers_is_given_up() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(listen) as url:
        with pytest.raises(TimedOut):
            await open_upgrade(url, PROTOCOL, (), 0.05)


@on_loops
async def test_a_pool_without_lines_sends_nothing_to_them() -> None:
    async with ClientPool() as pool:
        with pytest.raises(ConnectFailed):
            await pool.request("GET", line_url("a"))
        with pytest.raises(BadUrl):
            await pool.request("GET", "dial://a:80/")
