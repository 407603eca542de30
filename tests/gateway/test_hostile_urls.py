"""What suppliers list as their URL is hostile: where a gateway never goes, whatever it is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from contracts.service import Service
from gateway.errors import UpstreamError
from gateway.opening import build_pool
from gateway.routing.loading import place_of
from gateway.routing.specs import SpecLibrary
from gateway.settings import Settings
from gateway.settlement.delivery import SupplierAddress
from gateway.settlement.recounting import RecountWorker
from node.errors import SettingsError
from node.http import ClientPool, Lines, Request, Response, Server, line_url, serve
from node.tls import ListenerTls, ServerTls
from tests.factories import SERVICE, SUPPLIER, WEIGHTS
from tests.gateway.fakes import SPEC_HASH, FakeSupplier
from tests.gateway.harness import MODEL, a_gateway
from tests.node.certificates import Authority

pytestmark = pytest.mark.anyio

MAINNET, LOCALNET = 1, 31337
HI: Any = [{"role": "user", "content": "hi"}]
INSIDE = [
    "http://127.0.0.1:{port}",
    "https://127.0.0.1:{port}",
    "http://127.1:{port}",
    "http://0x7f.0.0.1:{port}",
    "http://2130706433:{port}",
    "http://0.0.0.0:{port}",
    "http://[::1]:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://localhost:{port}",  # a name that resolves to a private address
    "http://169.254.169.254",
    "http://[fe80::1%25lo]:{port}",
]
NO_URL = [
    "",
    "x",
    "ftp://host",
    "ftp://host:21",
    "http://",
    "http://[",
    "http://h:99999",
    "http://h:x",
]
NO_URL += ["http://user:pass@host", "http://é", "http://h\r\nx: y", "http://a..b", "file:///etc"]
NO_URL += [f"http://{'a' * 64}.example"]


def a_pool(chain_id: int, **relays: Any) -> ClientPool:
    """The pool that a gateway of these settings speaks to suppliers through."""
    return build_pool(Settings.load(None, relays=relays), chain_id, Lines())


@dataclass
class Listener:
    """A server inside that nobody may be led to."""

    heard: list[bytes] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        self.heard.append(request.path)
        return Response(200, b"{}")


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[Server]:
    server = await serve(handler)
    yield server
    await server.close(0)


def a_redirect(to: str) -> Any:
    async def handle(request: Request) -> Response:
        return Response(307, b"{}", [(b"location", to.encode() + request.path)])

    return handle


async def ask(data_dir: Path, fake: FakeSupplier, url: str, pool: ClientPool) -> str:
    """The code of a request's error through a supplier at `url`; empty where it is answered."""
    async with (
        a_gateway(data_dir, fake, url=url, through=pool) as gateway,
        gateway.client() as client,
    ):
        try:
            await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=9)
        except openai.APIStatusError as error:
            return str(error.code)
        await gateway.settled()
        return ""


async def fetch(pool: ClientPool, url: str) -> str:
    """Why the spec, tokenizer and template of a service are not fetched from `url`."""
    worker = RecountWorker(5.0)
    service = Service(bytes(20), SPEC_HASH, WEIGHTS, 0, bytes(20), MODEL)
    try:
        with pytest.raises(UpstreamError) as error:
            await SpecLibrary(pool, worker, {}).view(SERVICE, service, [url])
    finally:
        worker.close()
    return str(error.value)


@pytest.mark.parametrize("listed", INSIDE)
async def test_no_relay_goes_to_an_address_inside(tmp_path: Path, listed: str) -> None:
    fake = FakeSupplier("inside")
    async with listening(fake.handle) as server:
        url = listed.format(port=server.port)
        assert await ask(tmp_path, fake, url, a_pool(MAINNET)) == "upstream_broken"
    assert fake.served == fake.deliveries == 0


@pytest.mark.parametrize("listed", INSIDE)
async def test_no_spec_is_fetched_from_an_address_inside(listed: str) -> None:
    inside = Listener()
    async with listening(inside.handle) as server, a_pool(MAINNET) as pool:
        why = await fetch(pool, listed.format(port=server.port))
    assert "resolves to no allowed address" in why
    assert inside.heard == []


@pytest.mark.parametrize("listed", NO_URL)
async def test_what_is_no_url_is_one_supplier_s_failure(tmp_path: Path, listed: str) -> None:
    assert await ask(tmp_path, FakeSupplier("x"), listed, a_pool(MAINNET)) == "upstream_broken"
    async with a_pool(MAINNET) as pool:
        assert await fetch(pool, listed)


async def test_redirects_are_followed_neither_for_relays_nor_for_specs(tmp_path: Path) -> None:
    inside, fake = Listener(), FakeSupplier("redirects")
    allowed = {"allow_networks": ["127.0.0.0/8"]}
    async with listening(inside.handle) as target:
        for to in (f"http://127.0.0.1:{target.port}", "http://169.254.169.254"):
            async with listening(a_redirect(to)) as server:
                url = f"http://127.0.0.1:{server.port}"
                code = await ask(tmp_path, fake, url, a_pool(MAINNET, **allowed))
                assert code == "upstream_refused"
                async with a_pool(MAINNET, **allowed) as pool:
                    assert await fetch(pool, url) == "status 307"
    assert inside.heard == []


@pytest.mark.parametrize(
    ("chain_id", "relays"), [(LOCALNET, {}), (MAINNET, {"allow_networks": ["127.0.0.0/8"]})]
)
async def test_the_local_network_and_networks_that_are_named_are_reached(
    tmp_path: Path, chain_id: int, relays: dict[str, Any]
) -> None:
    fake = FakeSupplier("inside")
    async with listening(fake.handle) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert await ask(tmp_path, fake, url, a_pool(chain_id, **relays)) == ""
    assert fake.served == fake.deliveries == 1


@pytest.mark.parametrize("network", ["127.0.0.1/8", "10/8", "home"])
def test_a_network_that_is_none_is_refused_at_start(network: str) -> None:
    with pytest.raises(SettingsError, match=r"relays\.allow_networks: "):
        Settings.load(None, relays={"allow_networks": [network]})


async def test_relays_and_receipts_go_through_tls_to_whom_the_authority_vouches_for(
    tmp_path: Path,
) -> None:
    authority, fake = Authority(tmp_path), FakeSupplier("secure")
    identity = authority.issue("localhost")
    settings = ListenerTls(certificate=identity.certificate, key=identity.key)
    server = await serve(fake.handle, ssl=ServerTls(settings, "server.tls").context)
    believes = {"tls": {"ca_file": authority.bundle}}
    stranger = {"tls": {"ca_file": Authority(tmp_path, "stranger").bundle}}
    good, wrong_name = (f"https://{host}:{server.port}" for host in ("localhost", "127.0.0.1"))

    for url, relays in ((good, stranger), (wrong_name, believes), (good, {})):
        pool = a_pool(LOCALNET, **relays)
        assert await ask(tmp_path / "refused", fake, url, pool) == "upstream_broken"
    assert fake.served == 0
    assert await ask(tmp_path / "served", fake, good, a_pool(LOCALNET, **believes)) == ""
    assert fake.served == fake.deliveries == len(fake.receipts) == 1
    await server.close(0)


@pytest.mark.parametrize(
    "url", ["dial:", "DIAL:", "dial://" + "11" * 20, "Dial://x:80/y", "dial:x"]
)
def test_whoever_dials_is_found_on_its_own_lines_only(url: str) -> None:
    place = place_of(SUPPLIER, url, frozenset())

    assert place.dials_out
    assert place.url == line_url(SUPPLIER.hex())


@pytest.mark.parametrize("url", ["http://dial:80", "https://dial", "xdial:", ""])
def test_any_other_url_is_connected_to(url: str) -> None:
    assert place_of(SUPPLIER, url, frozenset()) == SupplierAddress(url, frozenset())
