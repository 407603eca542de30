"""The client against servers that lie, stall, truncate, flood or die."""

import asyncio
import ipaddress
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from node.http import (
    AddressRefused,
    BadResponse,
    ClientLimits,
    ClientPool,
    ClosedEarly,
    ConnectFailed,
    Request,
    StreamWriter,
    TimedOut,
    Timeout,
    TooLarge,
    serve,
)
from node.http.client import parse_url
from node.http.client_connection import ClientConnection
from tests.node.loops import on_loops, until
from tests.node.wire import echo, read_request, scripted, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

BROKEN = {
    "no framing": (b"HTTP/1.1 200 OK\r\n\r\nuntil I close", BadResponse),
    "length and coding": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        BadResponse,
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        BadResponse,
    ),
    "unknown coding": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc", BadResponse),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", BadResponse),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", BadResponse),
    "switching protocols": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", BadResponse),
    "interim flood": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + OK, BadResponse),
    "bad chunk": (CHUNKED + b"zz\r\n", BadResponse),
    "chunk extension flood": (CHUNKED + b"1;" + b"x" * 300_000, BadResponse),
    "huge header": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000, TooLarge),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 129 + b"\r\n", TooLarge),
    "announced too long": (b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", TooLarge),
    "streamed too long": (CHUNKED + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", TooLarge),
    "cut in the head": (b"HTTP/1.1 200 OK\r\ncontent-le", ClosedEarly),
    "cut in the body": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", ClosedEarly),
    "cut in a chunk": (CHUNKED + b"5\r\nab", ClosedEarly),
    "no last chunk": (CHUNKED + b"2\r\nab\r\n", ClosedEarly),
    "nothing": (b"", ClosedEarly),
}


@pytest.mark.parametrize("case", BROKEN)
@on_loops
async def test_an_answer_that_is_not_whole_and_clear_raises(case: str) -> None:
    answer, error = BROKEN[case]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    async with scripted(talk) as url, ClientPool(ClientLimits(body_bytes_max=1000)) as pool:
        with pytest.raises(error) as raised:
            await pool.request("POST", url, (), b"x")
        if isinstance(raised.value, ClosedEarly):
            assert raised.value.received == bool(answer)


@on_loops
async def test_limits_hold_to_the_byte_and_interim_answers_are_skipped() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = int((await read_request(reader)).split(b" ")[1][1:])
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 8)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)

    async with scripted(talk) as url, ClientPool(ClientLimits(body_bytes_max=1000)) as pool:
        for size in (0, 1, 1000):
            assert len((await pool.request("GET", f"{url}/{size}")).body) == size
        with pytest.raises(TooLarge):
            await pool.request("GET", f"{url}/1001")


@on_loops
async def test_connections_are_reused_and_closed_when_idle() -> None:
    async with serving() as server, ClientPool(ClientLimits(idle_s=0.1)) as pool:
        url = f"http://127.0.0.1:{server.port}/a?b=c"
        for size in (0, 1, 70_000, 3_000_000):
            answer = await pool.request("POST", url, [(b"x-y", b"z")], b"x" * size)
            assert (answer.status, len(answer.body), answer.headers.get(b"path")) == (
                200,
                size,
                b"/a",
            )
        assert server.connections == 1
        await until(lambda: server.connections == 0)
        assert (await pool.request("GET", url)).status == 200


@on_loops
async def test_a_close_between_two_requests_costs_nobody_anything() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)

    async with scripted(talk) as url, ClientPool() as pool:
        for _ in range(20):  # the FIN may or may not have arrived before the next request
            assert (await pool.request("POST", url, (), b"x", replay_safe=True)).body == b"ok"
            assert (await pool.request("GET", url)).body == b"ok"


@on_loops
async def test_what_may_not_be_repeated_is_not() -> None:
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            requests.append((await read_request(reader)).split(b" ", 1)[0])
            if len(requests) % 2 == 0:
                return  # read the second request of the connection, then die without a word
            writer.write(OK)

    async with scripted(talk) as url, ClientPool() as pool:
        await pool.request("POST", url, (), b"x")
        with pytest.raises(ClosedEarly):
            await pool.request("POST", url, (), b"x")
        assert requests == [b"POST", b"POST"]
        await pool.request("POST", url, (), b"x")
        assert (await pool.request("GET", url)).body == b"ok"
        assert requests[2:] == [b"POST", b"GET", b"GET"]


@on_loops
async def test_a_fresh_connection_is_never_tried_twice() -> None:
    count = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await read_request(reader)

    async with scripted(talk) as url, ClientPool() as pool:
        with pytest.raises(ClosedEarly):
            await pool.request("GET", url)
        assert count == 1


@on_loops
async def test_bytes_nobody_asked_for_are_no_ones_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            name = request.split(b" ")[1][1:]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL")

    async with scripted(talk) as url, ClientPool() as pool:
        for name in "abcdef":
            assert (await pool.request("GET", f"{url}/{name}")).body == name.encode()


@on_loops
async def test_every_phase_has_its_deadline() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await read_request(reader)).split(b" ")[1]
        if path == b"/read":
            writer.write(CHUNKED + b"2\r\nab\r\n")
        while path == b"/total":
            writer.write(CHUNKED if path == b"/total" else b"")
            while not writer.is_closing():
                writer.write(b"1\r\na\r\n")
                await asyncio.sleep(0.01)
        await reader.read()

    async with scripted(talk) as url, ClientPool() as pool:
        short = {
            "first_byte": Timeout(first_byte=0.05),
            "read": Timeout(read=0.05),
            "total": Timeout(total=0.1),
        }
        for phase, timeout in short.items():
            with pytest.raises(TimedOut) as raised:
                await pool.request("GET", f"{url}/{phase}", timeout=timeout)
            assert raised.value.phase == phase


DRIPS = {
    "head": (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize("what", DRIPS)
@on_loops
async def test_a_head_that_drips_is_given_no_more_time_than_one_that_does_not_come(
    what: str,
) -> None:
    first, drop = DRIPS[what]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(first)
        while not reader.at_eof():
            writer.write(drop)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.06):
                    await reader.read()

    async with scripted(talk) as url, ClientPool() as pool:
        with pytest.raises(TimedOut) as raised:
            await pool.request("GET", url, timeout=Timeout(first_byte=0.3, read=0.1, total=20))
        assert raised.value.phase == "first_byte"


@on_loops
async def test_a_head_that_is_awaited_is_looked_for_a_few_times_only() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    looks = 0

    def look(self: ClientConnection) -> None:
        nonlocal looks
        looks += 1
        watched(self)

    watched = ClientConnection._look
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientConnection, "_look", look)
        async with scripted(talk) as url, ClientPool() as pool:
            with pytest.raises(TimedOut):
                await pool.request("GET", url, timeout=Timeout(first_byte=0.3, read=0.1))
    assert looks <= 5


@on_loops
async def test_a_full_pool_waits_its_turn_and_a_deaf_host_times_out() -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> StreamWriter:
        async with request.respond_stream() as writer:
            await release.wait()
        return writer

    limits = ClientLimits(connections_per_origin_max=2)
    async with serving(handler) as server, ClientPool(limits) as pool:
        url = f"http://127.0.0.1:{server.port}/"
        busy = [asyncio.create_task(pool.request("GET", url)) for _ in range(2)]
        await until(lambda: server.in_flight == 2)
        with pytest.raises(TimedOut) as raised:
            await pool.request("GET", url, timeout=Timeout(connect=0.05))
        assert raised.value.phase == "connect"
        waiting = [asyncio.create_task(pool.request("GET", url)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        release.set()
        answers = await asyncio.gather(*busy, *waiting, return_exceptions=True)
        assert sum(isinstance(answer, asyncio.CancelledError) for answer in answers) == 1
        assert server.connections == 2


@on_loops
async def test_streams_arrive_piece_by_piece_and_wait_for_their_reader() -> None:
    written = 0
    step = asyncio.Event()

    async def handler(request: Request) -> StreamWriter:
        nonlocal written
        async with request.respond_stream() as writer:
            await writer.write(b"first")
            await step.wait()
            for _ in range(1000):
                await writer.write(b"x" * 65536)
                written += 65536
        return writer

    async with serving(handler) as server, ClientPool() as pool:
        async with pool.stream("GET", f"http://127.0.0.1:{server.port}/") as answer:
            chunks = answer.chunks()
            assert await anext(chunks) == b"first"
            step.set()
            before = -1
            while before != written:  # until the server is held back
                before = written
                await asyncio.sleep(0.05)
            assert written < 32 << 20
            total = 0
            async for chunk in chunks:
                total += len(chunk)
            assert total == 1000 * 65536
        assert server.connections == 1


@on_loops
async def test_leaving_a_stream_closes_its_socket_at_once() -> None:
    left = asyncio.Event()

    async def handler(request: Request) -> StreamWriter:
        writer = request.respond_stream()
        await writer.write(b"x")
        await request.disconnected
        left.set()
        return writer

    async with serving(handler) as server, ClientPool() as pool:
        url = f"http://127.0.0.1:{server.port}/"
        async with pool.stream("GET", url):
            pass
        await left.wait()
        left.clear()
        async with pool.stream("GET", url) as answer:
            assert await answer.chunks().__anext__() == b"x"
            answer.abort()
            with pytest.raises(ClosedEarly):
                await answer.read(10)
        await left.wait()
        left.clear()
        task = asyncio.create_task(pool.request("GET", url))
        await until(lambda: server.in_flight == 1)
        task.cancel()
        await left.wait()


@on_loops
async def test_a_server_dying_mid_body_gives_what_came_then_the_error() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"5\r\nhello\r\n5\r\nwo")
        await writer.drain()

    async with scripted(talk) as url, ClientPool() as pool:
        got = b""
        async with pool.stream("GET", url) as answer:
            with pytest.raises(ClosedEarly):
                async for chunk in answer.chunks():
                    got += chunk
        assert got == b"hellowo"


@on_loops
async def test_head_and_bodiless_answers() -> None:
    async def handler(request: Request) -> StreamWriter:
        async with request.respond_stream(204) as writer:
            pass
        return writer

    async with serving() as server, serving(handler) as empty, ClientPool() as pool:
        assert (await pool.request("HEAD", f"http://127.0.0.1:{server.port}/")).body == b""
        for _ in range(2):
            assert (await pool.request("GET", f"http://127.0.0.1:{empty.port}/")).status == 204
        assert empty.connections == 1


@on_loops
async def test_only_allowed_addresses_are_connected_to() -> None:
    asked = []

    def allow(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        asked.append(address)
        return False

    async with serving() as server, ClientPool(allow_address=allow) as pool:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(AddressRefused):
                await pool.request("GET", f"http://{host}:{server.port}/")
        assert ipaddress.ip_address("127.0.0.1") in asked
        assert server.connections == 0


@on_loops
async def test_nobody_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with ClientPool() as pool:
            with pytest.raises(ConnectFailed):
                await pool.request("GET", f"http://127.0.0.1:{bound.getsockname()[1]}/")
            with pytest.raises(ConnectFailed):
                await pool.request("GET", "http://no-such-host.invalid/")


@on_loops
async def test_tls_both_ways(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: ASYNC221
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await serve(echo, ssl=context)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with ClientPool(ssl=trusting) as pool, ClientPool() as stranger:
        url = f"https://localhost:{server.port}/"
        for size in (1, 1_000_000):
            assert len((await pool.request("POST", url, (), b"x" * size)).body) == size
        with pytest.raises(ConnectFailed):
            await stranger.request("GET", url)
        with pytest.raises(ConnectFailed):
            await pool.request("GET", f"https://127.0.0.1:{server.port}/")
    await server.close(0.2)


def test_urls_and_headers_cannot_break_out() -> None:
    assert parse_url("http://h")[1:] == (b"/", b"h")
    assert parse_url("https://h:443/p?q")[1:] == (b"/p?q", b"h")
    assert parse_url("http://[::1]:80/")[2] == b"[::1]"
    assert parse_url("http://h:81/")[2] == b"h:81"
    bad = ("", "h", "ftp://h/", "http:///", "http://u:p@h/", "http://h/a b", "http://h/\r\nx: y")
    for url in (*bad, "http://h/é", "http://h:99999/", "http://h:x/"):
        with pytest.raises(ValueError, match=r"."):
            parse_url(url)


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("GET", (b"x", b"a\r\nb: c")),
        ("GET", (b"x\r\ny", b"a")),
        ("GET", (b"x", b"a\0")),
        ("GET", (b"Host", b"elsewhere")),
        ("GET", (b"content-length", b"3")),
        ("GET / HTTP/1.1\r\n", (b"x", b"y")),
        ("get", (b"x", b"y")),
    ],
)
@on_loops
async def test_injections_are_refused_before_a_byte_is_sent(
    method: str, header: tuple[bytes, bytes]
) -> None:
    async with ClientPool() as pool:
        with pytest.raises(ValueError, match=r"."):
            await pool.request(method, "http://127.0.0.1:1/", [header])
