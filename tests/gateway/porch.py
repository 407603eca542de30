"""A gateway with a door for suppliers that dial in, its sessions as a test says."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contracts.errors import ChainUnavailableError
from gateway.dialling import DIAL_PATH, Door, LineKeeper, Lobby
from gateway.settlement.delivery import SupplierAddress
from node.http import Limits, Server, Upgraded, line_url, open_upgrade
from relay_mining import (
    DIAL_PROOF_BYTES,
    DIAL_PROTOCOL,
    Address,
    DialOffer,
    Domain,
    Handshake,
    Signer,
    decode_challenge,
)
from tests.factories import DOMAIN, GATEWAY, GATEWAY_SIGNER, a_hash
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

HI: Any = [{"role": "user", "content": "Hello"}]
NUMBER = 7


@dataclass
class Sessions:
    """What the chain says, as a test has it."""

    number: int = NUMBER
    domain: Domain = DOMAIN
    gateway: Address = GATEWAY
    operators: dict[Address, Address] = field(default_factory=dict)
    listening: set[Address] = field(default_factory=set)
    """Suppliers that registered a URL of their own."""
    is_away: bool = False

    def is_listed(self, supplier: Address) -> bool:
        return supplier in self.operators

    async def locate(self, supplier: Address, number: int) -> SupplierAddress:
        if self.is_away:
            raise ChainUnavailableError((("here", "away"),))
        operators = frozenset({self.operators[supplier]})
        return SupplierAddress(line_url(supplier.hex()), operators, supplier not in self.listening)

    async def signer_of(self, number: int) -> Signer:
        return GATEWAY_SIGNER


@dataclass
class Porch:
    """A gateway with its door, and what a test does before it."""

    gateway: Gateway
    sessions: Sessions
    outcomes: list[str]
    keeper: LineKeeper
    servers: list[Server] = field(default_factory=list)
    sockets: list[Upgraded] = field(default_factory=list)

    async def knock(self, fake: FakeSupplier, **changes: Any) -> tuple[Upgraded, Handshake]:
        """The socket of an offer, and the handshake so far."""
        offer = replace(DialOffer(fake.supplier, GATEWAY, NUMBER, a_hash(fake.name)), **changes)
        header = (DIAL_PROTOCOL, offer.encode())
        url = self.gateway.url + DIAL_PATH.decode()
        upgraded = await open_upgrade(url, DIAL_PROTOCOL, (header,), 5)
        self.sockets.append(upgraded)
        nonce = decode_challenge(upgraded.headers.get(DIAL_PROTOCOL) or b"")
        return upgraded, Handshake(DOMAIN, offer, nonce)

    async def dial(self, fake: FakeSupplier) -> Upgraded:
        """A line of a supplier's, whose other end says what the test makes it say."""
        upgraded, shake = await self.knock(fake)
        upgraded.transport.write(shake.sign_dial(fake.signer))
        taken = await upgraded.read(DIAL_PROOF_BYTES)
        assert shake.taken_by(taken) == GATEWAY_SIGNER.address
        return upgraded

    async def serve(self, fake: FakeSupplier, count: int = 1) -> Server:
        """Lines on which a supplier answers."""
        server = Server(fake.handle, Limits())
        self.servers.append(server)
        for _ in range(count):
            upgraded = await self.dial(fake)
            server.adopt(upgraded.transport, upgraded.take_rest())
        return server

    async def ask(self, **more: Any) -> Any:
        async with self.gateway.client() as client:
            return await client.chat.completions.create(model=MODEL, messages=HI, **more)


@asynccontextmanager
async def a_porch(
    folder: Path, suppliers: Sequence[FakeSupplier], waiting_max: int = 8, wait_s: float = 5.0
) -> AsyncIterator[Porch]:
    async with a_gateway(folder, *suppliers) as gateway:
        sessions = Sessions(operators={each.supplier: each.signer.address for each in suppliers})
        outcomes: list[str] = []
        lobby = Lobby(gateway.lines, waiting_max, wait_s, outcomes.append)
        gateway.plane.mount_page(DIAL_PATH, Door(sessions, lobby).answer)
        porch = Porch(gateway, sessions, outcomes, LineKeeper(gateway.lines, sessions))
        try:
            yield porch
            await gateway.settled()
        finally:
            for server in porch.servers:
                await server.close(0)
            for socket in porch.sockets:
                socket.transport.abort()


def a_dialling(name: str = "dials", lie: str = "", **more: Any) -> FakeSupplier:
    return FakeSupplier(name, lie, dials_out=True, **more)
