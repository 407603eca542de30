"""TLS over real sockets, on both loops: who is believed, what is refused, and that it all ends."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from node.errors import SettingsError
from node.http import (
    AddressRefused,
    ClientLimits,
    ClientPool,
    ClosedEarly,
    ConnectFailed,
    Handler,
    Limits,
    Request,
    Server,
    StreamWriter,
    TimedOut,
    Timeout,
    serve,
)
from node.tls import ClientTls, ListenerTls, ServerTls, load_client_tls, load_server_tls
from tests.node.certificates import Authority, Identity, encode_key
from tests.node.loops import on_loops, until
from tests.node.wire import Wire, echo, scripted

BIG = 3 << 20
PROMPT = Timeout(connect=0.3, first_byte=5, read=5, total=10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Identity:
    return authority.issue("localhost", "127.0.0.1")


@asynccontextmanager
async def serving(
    identity: Identity,
    handler: Handler = echo,
    limits: Limits | None = None,
    client_ca: Path | None = None,
) -> AsyncIterator[tuple[Server, ServerTls]]:
    """A server with this certificate."""
    settings = ListenerTls(
        certificate=identity.certificate, key=identity.key, client_ca=client_ca
    )  # fmt: skip
    secure = ServerTls(settings, "server.tls")
    server = await serve(handler, limits=limits, ssl=secure.context)
    try:
        yield server, secure
    finally:
        for wire in list(Wire.opened):
            await wire.close()
        await server.close(0.05)


def a_pool(ca: Path | None, limits: ClientLimits | None = None, **more: Any) -> ClientPool:
    """A client that believes one authority, or the system's."""
    return ClientPool(limits, ssl=load_client_tls(ClientTls(ca_file=ca), "relays.tls"), **more)


@on_loops
async def test_a_good_chain_is_believed_and_its_connection_used_again(
    authority: Authority, good: Identity
) -> None:
    peers = []

    async def handler(request: Request) -> Any:
        peers.append(request._connection.transport.get_extra_info("peername"))
        return await echo(request)

    async with serving(good, handler) as (server, _), a_pool(authority.bundle) as pool:
        for name in ("localhost", "127.0.0.1"):
            url = f"https://{name}:{server.port}/x"
            for _ in range(3):
                answer = await pool.request("POST", url, (), b"hi")
                assert (answer.status, answer.body) == (200, b"hi")
        assert len(set(peers[:3])) == len(set(peers[3:])) == 1


@on_loops
@pytest.mark.parametrize(
    ("names", "issued", "why"),
    [
        (("example.org",), {}, "Hostname mismatch|IP address mismatch|doesn't match"),
        (("localhost", "127.0.0.1"), {"days": (-3, -1)}, "expired"),
        (("localhost", "127.0.0.1"), {"days": (1, 3)}, "not yet valid"),
        (("localhost", "127.0.0.1"), {"signed": False}, "self-signed"),
    ],
    ids=["wrong host", "expired", "not yet valid", "self-signed"],
)
async def test_a_certificate_that_does_not_hold_is_refused_and_nothing_is_sent(
    authority: Authority, names: tuple[str, ...], issued: dict[str, Any], why: str
) -> None:
    asked = []

    async def handler(request: Request) -> Any:
        asked.append(request.path)
        return await echo(request)

    bad = authority.issue(*names, file="bad", **issued)
    async with serving(bad, handler) as (server, _), a_pool(authority.bundle) as pool:
        for name in ("localhost", "127.0.0.1"):
            with pytest.raises(ConnectFailed, match=why):
                await pool.request("GET", f"https://{name}:{server.port}/")
    assert asked == []


@on_loops
async def test_a_private_authority_is_believed_only_where_it_is_named(
    good: Identity, tmp_path: Path
) -> None:
    async with serving(good) as (server, _):
        for ca in (None, Authority(tmp_path, "another").bundle):
            async with a_pool(ca) as pool:
                with pytest.raises(ConnectFailed, match="verify failed"):
                    await pool.request("GET", f"https://localhost:{server.port}/")


@on_loops
async def test_an_https_url_is_never_spoken_to_in_clear(authority: Authority) -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(4096))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async with scripted(listen) as url, a_pool(authority.bundle) as pool:
        with pytest.raises(ConnectFailed):
            await pool.request("POST", url.replace("http:", "https:"), (), b"secret")
    assert heard[0] == 22  # a TLS handshake record
    assert b"POST" not in heard
    assert b"secret" not in heard


@on_loops
async def test_plain_text_to_a_tls_port_gets_no_answer(
    authority: Authority, good: Identity
) -> None:
    async with serving(good) as (server, _):
        async with ClientPool() as pool:
            with pytest.raises(ClosedEarly):
                await pool.request("GET", f"http://127.0.0.1:{server.port}/")
        wire = await Wire.open(server.port)
        wire.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP" not in await wire.rest()
        async with a_pool(authority.bundle) as pool:
            assert (await pool.request("GET", f"https://localhost:{server.port}/")).status == 200


def an_old_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.bundle)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@on_loops
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_what_is_older_than_tls_1_2_is_refused_on_both_sides(
    authority: Authority, good: Identity
) -> None:
    async with serving(good) as (server, _), ClientPool(ssl=an_old_context(authority)) as pool:
        with pytest.raises(ConnectFailed):
            await pool.request("GET", f"https://localhost:{server.port}/")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(good.certificate, good.key)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    server = await serve(echo, ssl=old)
    async with a_pool(authority.bundle) as pool:
        with pytest.raises(ConnectFailed):
            await pool.request("GET", f"https://localhost:{server.port}/")
    await server.close(0.05)


@on_loops
async def test_a_connection_closed_inside_the_handshake_is_a_failed_connect(
    authority: Authority,
) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x16\x03\x03")  # half a record's head

    async with scripted(leave) as url, a_pool(authority.bundle) as pool:
        with pytest.raises(ConnectFailed):
            await pool.request("GET", url.replace("http:", "https:"))


@on_loops
async def test_a_server_that_stalls_in_the_handshake_is_left_at_the_deadline(
    authority: Authority,
) -> None:
    left = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        left.set()

    async with scripted(stall) as url, a_pool(authority.bundle) as pool:
        with pytest.raises(TimedOut) as timed_out:
            await pool.request("GET", url.replace("http:", "https:"), timeout=PROMPT)
        assert timed_out.value.phase == "connect"
        await left.wait()


@on_loops
async def test_clients_that_stall_or_leave_in_the_handshake_are_let_go(
    authority: Authority, good: Identity
) -> None:
    async with serving(good, limits=Limits(head_s=0.1)) as (server, _):
        silent, half, gone = [await Wire.open(server.port) for _ in range(3)]
        half.send(b"\x16\x03\x01\x02\x00\x01")
        gone.reset()
        assert await silent.rest() == await half.rest() == b""
        async with a_pool(authority.bundle) as pool:
            assert (await pool.request("GET", f"https://localhost:{server.port}/")).status == 200


@on_loops
async def test_big_bodies_go_both_ways(authority: Authority, good: Identity) -> None:
    body = bytes(range(256)) * (BIG // 256)
    async with serving(good) as (server, _), a_pool(authority.bundle) as pool:
        answer = await pool.request("POST", f"https://localhost:{server.port}/", (), body)
        assert answer.body == body


async def stream(request: Request, events: Callable[[int], bytes], count: int) -> StreamWriter:
    async with request.respond_stream(200) as writer:
        for index in range(count):
            await writer.write(events(index))
    return writer


@on_loops
async def test_streams_flow_at_the_readers_pace_and_end_whole(
    authority: Authority, good: Identity
) -> None:
    chunk = b"x" * 65_536

    async def handler(request: Request) -> Any:
        return await stream(request, lambda _: chunk, 64)

    limits = ClientLimits(buffer_bytes_max=65_536)
    async with serving(good, handler) as (server, _), a_pool(authority.bundle, limits) as pool:
        async with pool.stream("GET", f"https://localhost:{server.port}/") as answer:
            size = 0
            async for data in answer.chunks():
                size += len(data)
                await asyncio.sleep(0)
        assert size == 64 * len(chunk)
        again = await pool.request("GET", f"https://localhost:{server.port}/")
        assert len(again.body) == size


@on_loops
async def test_a_client_that_leaves_a_stream_is_seen_to_leave(
    authority: Authority, good: Identity
) -> None:
    left = asyncio.Event()

    async def handler(request: Request) -> Any:
        writer = request.respond_stream(200)
        await writer.write(b"one")
        await request.disconnected
        left.set()
        return writer

    async with serving(good, handler) as (server, _), a_pool(authority.bundle) as pool:
        async with pool.stream("GET", f"https://localhost:{server.port}/") as answer:
            async for data in answer.chunks():
                assert data == b"one"
                break
        await left.wait()


@on_loops
async def test_a_stream_cut_by_the_network_is_never_whole(
    authority: Authority, good: Identity
) -> None:
    async def handler(request: Request) -> Any:
        writer = request.respond_stream(200)
        await writer.write(b"one")
        request._connection.abort()
        return writer

    async with serving(good, handler) as (server, _), a_pool(authority.bundle) as pool:
        with pytest.raises(ClosedEarly):
            await pool.request("GET", f"https://localhost:{server.port}/")


@on_loops
async def test_a_connection_the_server_closed_is_not_used_again(
    authority: Authority, good: Identity
) -> None:
    async with a_pool(authority.bundle) as pool:
        async with serving(good) as (server, _):
            port = server.port
            url = f"https://localhost:{port}/"
            assert (await pool.request("POST", url, (), b"1")).body == b"1"
        secure = ServerTls(
            ListenerTls(certificate=good.certificate, key=good.key), "server.tls"
        )  # fmt: skip
        server = await serve(echo, port=port, ssl=secure.context)
        assert (await pool.request("POST", url, (), b"2")).body == b"2"
        await server.close(0.05)


@on_loops
async def test_a_shutdown_lets_a_stream_finish(authority: Authority, good: Identity) -> None:
    go = asyncio.Event()

    async def handler(request: Request) -> Any:
        async with request.respond_stream(200) as writer:
            await writer.write(b"one")
            await go.wait()
            await writer.write(b"two")
        return writer

    async with serving(good, handler) as (server, _), a_pool(authority.bundle) as pool:
        async with pool.stream("GET", f"https://localhost:{server.port}/") as answer:
            chunks = answer.chunks()
            assert await anext(chunks) == b"one"
            closing = asyncio.create_task(server.close(5))
            await until(lambda: server.draining)
            go.set()
            assert await anext(chunks) == b"two"
        await closing


@on_loops
async def test_the_guard_judges_the_address_and_the_name_is_what_is_asked_for_and_checked(
    authority: Authority, good: Identity
) -> None:
    judged, asked = [], []

    def allow(address: Any) -> bool:
        judged.append(str(address))
        return address.version == 4

    async with serving(good) as (server, secure):
        choose = secure.context.sni_callback

        def watch(connection: ssl.SSLObject, name: str, context: ssl.SSLContext) -> None:
            asked.append(name)
            choose(connection, name, context)

        secure.context.sni_callback = watch
        async with a_pool(authority.bundle, allow_address=allow) as pool:
            assert (await pool.request("GET", f"https://localhost:{server.port}/")).status == 200
        async with a_pool(authority.bundle, allow_address=lambda address: False) as pool:
            with pytest.raises(AddressRefused):
                await pool.request("GET", f"https://localhost:{server.port}/")
    assert "127.0.0.1" in judged
    assert asked == ["localhost"]


@on_loops
async def test_a_listener_may_ask_clients_for_a_certificate(
    authority: Authority, good: Identity, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("someone")
    member = authority.issue("member")
    async with serving(good, client_ca=authority.bundle) as (server, _):
        url = f"https://localhost:{server.port}/"
        for identity, is_let_in in ((member, True), (stranger, False), (None, False)):
            settings = ClientTls(
                ca_file=authority.bundle,
                certificate=identity and identity.certificate,
                key=identity and identity.key,
            )
            async with ClientPool(ssl=load_client_tls(settings, "relays.tls")) as pool:
                if is_let_in:
                    assert (await pool.request("GET", url)).status == 200
                else:
                    with pytest.raises((ClosedEarly, ConnectFailed)):
                        await pool.request("GET", url)


@on_loops
async def test_a_renewed_certificate_is_shown_to_new_connections_and_a_broken_one_is_not(
    authority: Authority,
) -> None:
    first = authority.issue("localhost", file="renewed")

    async def shown(port: int) -> bytes:
        context = load_client_tls(ClientTls(ca_file=authority.bundle), "relays.tls")
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.transport.abort()
        return certificate

    async with serving(first) as (server, secure):
        before = await shown(server.port)
        authority.issue("localhost", file="renewed")
        assert await shown(server.port) == before
        secure.renew()
        renewed = await shown(server.port)
        assert renewed != before
        first.key.write_bytes(b"nothing")
        with pytest.raises(SettingsError):
            secure.renew()
        assert await shown(server.port) == renewed


def settings_error(settings: ListenerTls) -> str:
    with pytest.raises(SettingsError) as error:
        load_server_tls(settings, "server.tls")
    return str(error.value)


def test_errors_name_the_setting_the_file_and_the_remedy(
    authority: Authority, good: Identity, tmp_path: Path
) -> None:
    missing, junk, locked, shown = (tmp_path / name for name in ("missing", "junk", "l", "s"))
    junk.write_text("junk")
    junk.chmod(0o600)
    locked.write_bytes(encode_key(ec.generate_private_key(ec.SECP256R1()), b"password"))
    locked.chmod(0o600)
    shown.write_bytes(good.key.read_bytes())
    shown.chmod(0o644)
    other = authority.issue("other").key
    chain = good.certificate

    for settings, words in (
        (ListenerTls(certificate=chain), ["both server.tls.certificate and server.tls.key"]),
        (ListenerTls(key=good.key), ["both server.tls.certificate and server.tls.key"]),
        (ListenerTls(client_ca=chain), ["both server.tls.certificate and server.tls.key"]),
        (ListenerTls(certificate=missing, key=good.key), ["server.tls.certificate", str(missing)]),
        (ListenerTls(certificate=chain, key=missing), ["server.tls.key", str(missing)]),
        (ListenerTls(certificate=tmp_path, key=good.key), [str(tmp_path), "directory"]),
        (ListenerTls(certificate=junk, key=good.key), [str(junk), "PEM chain"]),
        (ListenerTls(certificate=chain, key=junk), [str(junk), "PEM key"]),
        (ListenerTls(certificate=chain, key=locked), [str(locked), "without a password"]),
        (ListenerTls(certificate=chain, key=other), [str(other), "is not the key of", str(chain)]),
        (ListenerTls(certificate=chain, key=shown), [str(shown), "chmod 600"]),
        (ListenerTls(certificate=chain, key=good.key, client_ca=junk), ["client_ca", str(junk)]),
    ):
        text = settings_error(settings)
        assert [word for word in words if word not in text] == [], text
    with pytest.raises(SettingsError, match=r"relays\.tls\.ca_file: .* cannot be read"):
        load_client_tls(ClientTls(ca_file=missing), "relays.tls")
    with pytest.raises(SettingsError, match=r"both relays\.tls\.certificate"):
        load_client_tls(ClientTls(certificate=chain), "relays.tls")


def test_no_files_means_no_tls() -> None:
    assert load_server_tls(ListenerTls(), "server.tls") is None
    assert ListenerTls().scheme == "http"
    assert ListenerTls(certificate=Path("x"), key=Path("y")).scheme == "https"


def test_contexts_check_chains_names_and_versions() -> None:
    context = load_client_tls(ClientTls(), "relays.tls")
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    with contextlib.closing(socket.socket()) as raw, pytest.raises(ValueError, match="hostname"):
        context.wrap_socket(raw)
