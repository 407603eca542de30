"""The server against clients that are slow, greedy, confusing or gone."""

import asyncio
import logging
import socket

import pytest

from node.http import (
    ClientDisconnected,
    Handler,
    Limits,
    Request,
    RequestRefused,
    Response,
    StreamWriter,
)
from node.http.request_reader import Phase
from tests.node.loops import on_loops, until
from tests.node.wire import Wire, exchange, serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "length and coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length list": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "overflowing length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare line feed in header": b"GET / HTTP/1.1\r\nHost: a\nx: b\r\n\r\n",
    "bare return": b"GET / HTTP/1.1\r\nHost: a\rx: b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "coding twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk with bare line feeds": CHUNKED + b"1\na\n0\n\n",
    "chunk longer than said": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "hexadecimal prefix": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKED + b"fffffffffffffffff\r\na\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority form": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("case", MALFORMED)
@on_loops
async def test_what_could_be_read_two_ways_is_400(case: str) -> None:
    async with serving() as server:
        wire = await Wire.open(server.port)
        wire.send(MALFORMED[case] + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        raw = await wire.rest()
        assert raw.startswith(b"HTTP/1.1 400 ")
        assert raw.count(b"HTTP/1.1 ") == 1
        await wire.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 501),
        (POST + b"Expect: tea\r\nContent-Length: 1\r\n\r\na", 417),
    ],
)
@on_loops
async def test_what_is_not_spoken_here_is_refused(request_bytes: bytes, status: int) -> None:
    async with serving() as server:
        assert (await exchange(server.port, request_bytes))[0] == status


@on_loops
async def test_body_limit_holds_to_the_byte() -> None:
    async with serving(limits=Limits(body_bytes_max=1000)) as server:
        for size, status in ((0, 200), (1, 200), (1000, 200), (1001, 413)):
            body = b"x" * size
            plain = POST + b"Content-Length: %d\r\n\r\n" % size + body
            assert (await exchange(server.port, plain))[0] == status
            chunk = b"%x\r\n%b\r\n" % (size, body) if size else b""
            assert (await exchange(server.port, CHUNKED + chunk + b"0\r\n\r\n"))[0] == status
        announced = POST + b"Content-Length: 1001\r\n\r\n"  # refused before the body comes
        assert (await exchange(server.port, announced))[0] == 413


@on_loops
async def test_413_reaches_a_client_that_is_still_sending() -> None:
    async with serving(limits=Limits(body_bytes_max=1000)) as server:
        wire = await Wire.open(server.port)
        wire.send(POST + b"Content-Length: 4000000\r\n\r\n" + b"x" * 4_000_000)
        assert (await wire.answer())[0] == 413
        await wire.close()


@on_loops
async def test_a_refusal_may_say_why() -> None:
    def refuse(status: int) -> Response:
        return Response(status, b"not %d" % status, ((b"x-why", b"so"),), b"text/plain")

    async with serving(limits=Limits(body_bytes_max=1000), refuse=refuse) as server:
        wire = await Wire.open(server.port)
        wire.send(POST + b"Content-Length: 1001\r\n\r\n")
        status, headers = await wire.head()
        assert (status, headers[b"x-why"]) == (413, b"so")
        assert await wire.rest() == b"not 413"
        await wire.close()
        assert await exchange(server.port, POST + b"Content-Length: x\r\n\r\n") == (
            400, b"not 400",
        )  # fmt: skip


@on_loops
async def test_header_limits() -> None:
    limits = Limits(header_bytes_max=2000, header_count_max=10)
    async with serving(limits=limits) as server:
        room = 2000 - 1 - len(b"Hosta") - 4 - 4 - 1

        def request(size: int) -> bytes:
            return b"GET / HTTP/1.1\r\nHost: a\r\nx: %b\r\n\r\n" % (b"y" * size)

        assert (await exchange(server.port, request(room)))[0] == 200
        assert (await exchange(server.port, request(room + 1)))[0] == 431
        fields = b"".join(b"x%d: y\r\n" % i for i in range(10))
        assert (await exchange(server.port, GET[:-2] + fields + b"\r\n"))[0] == 431
        long_target = b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        assert (await exchange(server.port, long_target))[0] == 431


@on_loops
async def test_endless_header_chunk_extension_and_trailer_are_cut_off() -> None:
    limits = Limits(header_bytes_max=2000)
    starts = {
        b"GET / HTTP/1.1\r\nHost: a\r\nx: ": 431,
        CHUNKED + b"1;": 400,
        CHUNKED + b"0\r\nx: ": 400,
        CHUNKED + b"0\r\n" + b"x: y\r\n" * 500: 431,
        b"\r\n" * 5000: 431,
    }
    async with serving(limits=limits) as server:
        for start, status in starts.items():
            wire = await Wire.open(server.port)
            wire.send(start)
            for _ in range(20):
                wire.send(b"y" * 1000 if not start.startswith(b"\r\n") else b"\r\n" * 500)
                await asyncio.sleep(0)
            assert (await wire.answer())[0] == status, start[:40]
            await wire.close()


@on_loops
async def test_slowloris_gets_408_and_idle_connections_end() -> None:
    limits = Limits(head_s=0.1, body_s=0.1, idle_s=0.1, linger_s=0.1)
    async with serving(limits=limits) as server:
        for start in (b"GET /", POST + b"Content-Length: 5\r\n\r\nhe"):
            wire = await Wire.open(server.port)
            wire.send(start)

            async def drip(wire: Wire = wire) -> None:
                while not wire.reader.at_eof():
                    wire.send(b"T")
                    await asyncio.sleep(0.03)

            dripping = asyncio.create_task(drip()) if start.startswith(b"GET") else None
            assert (await wire.answer())[0] == 408
            assert await wire.rest() == b""
            if dripping is not None:
                dripping.cancel()
            await wire.close()
        silent = await Wire.open(server.port)
        assert await silent.rest() == b""
        kept = await Wire.open(server.port)
        kept.send(GET)
        assert (await kept.answer())[0] == 200
        assert await kept.rest() == b""
        await until(lambda: server.connections == 0)


@on_loops
async def test_one_connection_too_many_is_503() -> None:
    async with serving(limits=Limits(connections_max=2, linger_s=0.1)) as server:
        held = [await Wire.open(server.port) for _ in range(2)]
        for wire in held:
            wire.send(GET)
            assert (await wire.answer())[0] == 200
        assert (await exchange(server.port, GET))[0] == 503
        await held[0].close()
        await until(lambda: server.connections == 1)
        assert (await exchange(server.port, GET))[0] == 200
        await held[1].close()


@on_loops
async def test_keep_alive_pipelining_in_order_one_at_a_time() -> None:
    running = 0

    async def handler(request: Request) -> Response:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        return Response(200, request.target)

    async with serving(handler) as server:
        wire = await Wire.open(server.port)
        wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(500)))
        for i in range(500):
            assert await wire.answer() == (200, b"/%d" % i)
        wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n")
        assert await wire.answer() == (200, b"/x")
        assert (await wire.answer())[0] == 400
        await wire.close()


@on_loops
async def test_byte_by_byte_and_chunked_bodies_arrive_whole() -> None:
    async with serving() as server:
        wire = await Wire.open(server.port)
        for byte in CHUNKED + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: u\r\n\r\n":
            wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await wire.answer() == (200, b"abcde")
        wire.send(POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nokNOISE")
        assert await wire.answer() == (200, b"ok")
        assert await wire.rest() == b""
        await wire.close()


@on_loops
async def test_expect_continue_head_and_old_clients() -> None:
    async with serving() as server:
        wire = await Wire.open(server.port)
        wire.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await wire.head())[0] == 100
        wire.send(b"ok")
        assert await wire.answer() == (200, b"ok")
        wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        status, headers = await wire.head()
        assert (status, headers[b"content-length"]) == (200, b"0")
        assert (await wire.answer())[0] == 200
        wire.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await wire.head())[1][b"connection"] == b"close"
        assert await wire.rest() == b""
        await wire.close()


@on_loops
async def test_streams_chunked_sized_and_for_old_clients() -> None:
    async def handler(request: Request) -> StreamWriter:
        sized = [(b"content-length", b"6")] if request.path == b"/sized" else []
        async with request.respond_stream(200, sized, b"text/event-stream") as writer:
            for part in (b"abc", b"", b"def"):
                await writer.write(part)
        return writer

    await _check_streams(handler)


@on_loops
async def test_streams_begin_with_their_head_and_end_with_their_last_bytes() -> None:
    async def handler(request: Request) -> StreamWriter:
        sized = [(b"content-length", b"6")] if request.path == b"/sized" else []
        writer = request.respond_stream(200, sized, b"text/event-stream", b"ab")
        await writer.write(b"c")
        await writer.close(b"def")
        return writer

    await _check_streams(handler)


async def _check_streams(handler: Handler) -> None:
    async with serving(handler) as server:
        wire = await Wire.open(server.port)
        wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.head())[0] == 200
        for path in (b"/", b"/sized"):
            wire.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            assert await wire.answer() == (200, b"abcdef")
        wire.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await wire.rest()).endswith(b"\r\n\r\nabcdef")
        await wire.close()


@on_loops
async def test_an_answer_is_there_before_its_handler_ends() -> None:
    read = asyncio.Event()

    async def handler(request: Request) -> Response:
        answer = Response(200, b"early", (), b"text/plain")
        request.respond(answer)
        await read.wait()
        read.clear()
        return answer

    async with serving(handler) as server:
        wire = await Wire.open(server.port)
        for _ in range(2):  # sent once each, and in order
            wire.send(GET)
            assert await wire.answer() == (200, b"early")
            read.set()
        await wire.close()


@on_loops
async def test_leaving_shows_at_once_and_cancels_on_request() -> None:
    seen: list[str] = []
    started = asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        if request.path == b"/wait":
            await request.disconnected
            seen.append("left")
            return Response()
        request.cancel_on_disconnect()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return Response()

    async with serving(handler) as server:
        for path, leave in ((b"/wait", "close"), (b"/wait", "reset"), (b"/c", "close")):
            started.clear()
            wire = await Wire.open(server.port)
            wire.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            await started.wait()
            if leave == "reset":
                wire.reset()
            else:
                await wire.close()
            await until(lambda: server.connections == 0)
            await until(lambda: server.in_flight == 0)
        await until(lambda: len(seen) == 3)
        assert seen == ["left", "left", "cancelled"]


@on_loops
async def test_a_handler_whose_client_left_owes_no_whole_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = asyncio.Event()

    async def handler(request: Request) -> Response | None:
        if request.path == b"/half":
            await request.respond_stream().write(b"half")
        started.set()
        await request.disconnected
        return None

    async with serving(handler) as server:
        for path in (b"/nothing", b"/half"):
            started.clear()
            wire = await Wire.open(server.port)
            wire.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            await started.wait()
            wire.reset()
            await until(lambda: server.connections == 0 and server.in_flight == 0)
    assert caplog.records == []


@on_loops
async def test_a_client_that_stops_reading_holds_the_writer_and_is_cut_off() -> None:
    written = 0
    ended = asyncio.Event()

    async def handler(request: Request) -> None:
        nonlocal written
        writer = request.respond_stream()
        try:
            while True:
                await writer.write(b"x" * 65536)
                written += 65536
        except ClientDisconnected:
            ended.set()
            raise

    async with serving(handler, Limits(write_stall_s=0.2)) as server:
        wire = await Wire.open(server.port)
        wire.writer.transport.pause_reading()
        wire.send(GET)
        await ended.wait()
        assert written < 32 << 20  # what sockets buffer, not what the handler could make
        await until(lambda: server.connections == 0)
        await wire.close()


@pytest.mark.parametrize("ending", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("stops", [False, True])
@on_loops
async def test_a_reader_may_be_slow_for_as_long_as_it_reads(ending: bytes, stops: bool) -> None:
    """32 MiB at some 25 MB/s: four times as long as a client may read nothing."""
    body = b"x" * (32 << 20)

    async def handler(request: Request) -> Response:
        return Response(200, body)

    async with serving(handler, Limits(write_stall_s=0.3)) as server:
        loop = asyncio.get_running_loop()
        with socket.socket() as raw:
            raw.setblocking(False)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
            await loop.sock_connect(raw, ("127.0.0.1", server.port))
            await loop.sock_sendall(raw, b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % ending)
            taken = 0
            while taken < len(body) and (data := await loop.sock_recv(raw, 128 << 10)):
                taken += len(data)
                if stops and taken > len(body) // 4:
                    break
                await asyncio.sleep(0.005)
            if stops:
                await until(lambda: server.connections == 0)
            else:
                assert taken >= len(body)


@on_loops
async def test_a_pipeliner_that_reads_nothing_cannot_pile_up_answers() -> None:
    answered = 0

    async def handler(request: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(200, b"x" * 1_000_000)

    async with serving(handler, Limits(write_stall_s=0.2)) as server:
        wire = await Wire.open(server.port)
        wire.writer.transport.pause_reading()
        wire.send(GET * 1000)
        await until(lambda: answered > 0)
        await until(lambda: server.connections == 0)
        assert answered < 40
        await wire.close()


@on_loops
async def test_failures_of_a_handler(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response | None:
        if request.path == b"/refuse":
            raise RequestRefused(429, b"slow down")
        if request.path == b"/split":
            return Response(200, b"", [(b"x", b"a\r\nset-cookie: b")])
        if request.path == b"/mid":
            await request.respond_stream().write(b"half")
        if request.path == b"/other":
            request.respond(Response(200, b"first", (), b"text/plain"))
            return Response(200, b"second", (), b"text/plain")
        if request.path == b"/unclosed":
            await request.respond_stream().write(b"half")
            return None
        raise ValueError("bug")

    with caplog.at_level(logging.CRITICAL, logger="node.http"):
        async with serving(handler) as server:
            wire = await Wire.open(server.port)
            for path, status in ((b"refuse", 429), (b"bug", 500), (b"split", 500), (b"bug", 500)):
                wire.send(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                assert (await wire.answer())[0] == status
            await wire.close()
            for path in (b"mid", b"unclosed"):  # cut, so that half is not taken for whole
                wire = await Wire.open(server.port)
                wire.send(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                assert not (await wire.rest()).endswith(b"0\r\n\r\n")
                await wire.close()
            wire = await Wire.open(server.port)
            wire.send(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
            assert not (await wire.rest()).endswith(b"second")
            await wire.close()


@on_loops
async def test_drain_finishes_what_runs_and_refuses_what_is_new() -> None:
    go = asyncio.Event()
    started = asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        await go.wait()
        return Response(200, b"done")

    async with serving(handler) as server:
        port = server.port
        busy, idle = await Wire.open(server.port), await Wire.open(server.port)
        busy.send(GET + GET)
        await started.wait()
        half = await Wire.open(server.port)
        half.send(GET[:10])
        await until(lambda: any(c._reader.phase is Phase.HEAD for c in server._connections))
        closing = asyncio.create_task(server.close(5))
        assert await idle.rest() == b""
        half.send(GET[10:])
        assert (await half.answer())[0] == 503
        with pytest.raises(ConnectionRefusedError):
            await Wire.open(port)
        go.set()
        status, headers = await busy.head()
        assert (status, headers[b"connection"]) == (200, b"close")
        assert await busy.rest() == b"done"
        for wire in (busy, idle, half):
            await wire.close()
        await closing


@on_loops
async def test_drain_cuts_what_never_ends() -> None:
    started = asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        return Response()

    async with serving(handler) as server:
        wire = await Wire.open(server.port)
        wire.send(GET)
        await started.wait()
        await server.close(0.05)
        assert server.connections == 0
        assert await wire.rest() == b""
        await wire.close()
