"""The proxy passes what it is to pass, and fails as it is told to."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import pytest

from localnet.fault_proxy import FaultProxy, Mode

ANSWER = b"a" * 200_000
SHORT_S = 0.3


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Connections that break are what is tested."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy() as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[httpx.Client]:
    server = Server(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = proxy.front(f"http://127.0.0.1:{server.server_port}")
    with httpx.Client(base_url=url, timeout=30.0, trust_env=False) as running:
        yield running
    server.shutdown()
    thread.join()
    server.server_close()


def ask(client: httpx.Client, timeout_s: float = 30.0) -> bytes:
    return client.post("/", content=b"question", timeout=timeout_s).content


@pytest.mark.parametrize("mode", [Mode.PASS, Mode.SLOW, Mode.OVERTAKE])
def test_answers_pass_whole(proxy: FaultProxy, client: httpx.Client, mode: Mode) -> None:
    proxy.mode = mode

    assert ask(client) == ANSWER
    assert proxy.broken == 0


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.CUT])
def test_answers_break_off_on_old_connections_too_until_it_is_over(
    proxy: FaultProxy, client: httpx.Client, mode: Mode
) -> None:
    ask(client)
    proxy.mode = mode
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            ask(client)
    assert proxy.broken == 2

    proxy.mode = Mode.PASS
    assert ask(client) == ANSWER


def test_a_stall_holds_answers_back_and_loses_none(proxy: FaultProxy, client: httpx.Client) -> None:
    proxy.mode = Mode.STALL
    with pytest.raises(httpx.ReadTimeout):
        ask(client, SHORT_S)

    release = threading.Timer(SHORT_S, setattr, (proxy, "mode", Mode.PASS))
    release.start()
    assert ask(client) == ANSWER
    release.join()


def test_what_is_sent_later_over_another_connection_may_arrive_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, FaultProxy() as proxy:
        front = urlsplit(proxy.front(f"http://127.0.0.1:{server.getsockname()[1]}"))
        ways = [socket.create_connection(("127.0.0.1", front.port or 0), 5.0) for _ in range(6)]
        ends = [server.accept()[0] for _ in ways]
        proxy.mode = Mode.OVERTAKE
        for number, way in enumerate(ways):
            way.sendall(bytes([number]))

        came = []
        while len(came) < len(ways):
            came += [end.recv(1)[0] for end in select.select(ends, [], [], 5.0)[0]]
        for each in (*ways, *ends):
            each.close()
        assert sorted(came) == list(range(len(ways)))
        assert came != sorted(came)


def test_connections_go_to_the_next_that_takes_them() -> None:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    urls = [f"http://me@127.0.0.1:{each.getsockname()[1]}/path" for each in servers]
    with FaultProxy() as balancer, servers[1] as second:
        front = urlsplit(balancer.front(*urls))
        assert (front.username, front.path) == ("me", "/path")

        with servers[0] as first:
            connect_to(front.port, 2)
            assert (accepted(first), accepted(second)) == (1, 1)
        connect_to(front.port, 2)
        assert accepted(second) == 2


def connect_to(port: int | None, times: int) -> None:
    for _ in range(times):
        socket.create_connection(("127.0.0.1", port or 0), 5.0).close()


def accepted(server: socket.socket) -> int:
    """How many connections have come, once no more do."""
    server.settimeout(SHORT_S)
    count = 0
    with suppress(TimeoutError):
        while True:
            server.accept()[0].close()
            count += 1
    return count
