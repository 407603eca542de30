"""The proxy passes what it is to pass, and fails as it is told to."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


@pytest.mark.parametrize("mode", [Mode.PASS, Mode.SLOW])
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
