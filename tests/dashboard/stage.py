"""A dashboard on a stage: the gateway's own board over a synthetic market, without a chain."""

import asyncio
import time
from dataclasses import dataclass, field

from contracts import Event
from gateway.dashboard import Board, Sources
from gateway.dashboard.folding import apply
from gateway.dashboard.follower import Rosters
from gateway.dashboard.market_model import MarketModel
from gateway.routing.sessions import Member, ServiceSpec, ServiceView, Session, SessionTable
from gateway.routing.standing import Standing
from node.dashboard import Access, Token, site_handler
from node.http import Request, Response, Server, serve
from relay_mining import Address, RosterEntry, SessionKey, Signer, Verifier, compute_terms, keccak
from tests.dashboard.history import CLOCK, TOKEN, History, name_address

ADMIN_TOKEN = "0123456789abcdef0123456789abcdef"
SIGNER = Signer(keccak(b"a stage's signer"))


@dataclass
class Followed:
    """Stands where the follower of a chain would: its model is written by hand."""

    model: MarketModel
    rosters: Rosters = field(default_factory=dict)

    async def run(self) -> None:
        """Nothing to follow."""
        await asyncio.Event().wait()


@dataclass
class Stage:
    """A served board, its history, and ways to make something happen."""

    history: History
    followed: Followed
    board: Board
    head_block: int
    server: Server | None = None

    @classmethod
    def build(cls, history: History, gateway: Address | None = None) -> "Stage":
        """A board over a history, of the gateway that everybody in it uses or of another."""
        followed = Followed(history.model(), _rosters(history))
        stage = cls(history, followed, None, history.head_block)  # type: ignore[arg-type]
        standing = Standing(time.monotonic)
        table = SessionTable()
        sessions = [_session(history, number) for number in range(min(3, history.services))]
        table.replace(
            history.sessions + 1, sessions, {each.service.name: each.service for each in sessions}
        )
        _meet(history, standing)
        sources = Sources(table, standing, gateway or history.gateway(), lambda: stage.head_block)
        stage.board = Board(sources, followed, Token("USDX", 6), Access(ADMIN_TOKEN))  # type: ignore[arg-type]
        return stage

    async def serve(self, port: int = 0) -> str:
        """Serve it on the chassis; returns the URL."""
        self.server = await serve(site_handler(self.board.site, not_found), port=port)
        return f"http://127.0.0.1:{self.server.port}"

    def happen(self, *events: Event) -> None:
        """Take in events, and send a live update."""
        for event in events:
            apply(self.followed.model, event)
        self.head_block += 1
        self.board.beat()

    async def close(self) -> None:
        """Stop serving."""
        self.board.close()
        if self.server is not None:
            await self.server.close(1)


async def not_found(request: Request) -> Response:
    """What is not the dashboard's."""
    return Response(404, b"not found", (), b"text/plain")


def _session(history: History, number: int) -> Session:
    key = SessionKey(
        history.application(number), history.gateway(), history.service(number),
        history.sessions + 1,
    )  # fmt: skip
    name = history.names[number]
    spec = ServiceSpec(name, 8192, "", "", {})
    view = ServiceView(key.service, name, bytes(20), bytes(32), history.weights(number), spec)
    mine = [each for each in range(history.suppliers) if each % history.services == number][:5]
    members = tuple(
        Member(
            history.supplier(each), name_address(f"operator {each}"), "",
            compute_terms(key, 60 * TOKEN, 5, (2 + number) * TOKEN, 4096),
            Verifier(SIGNER.address),
        )
        for each in mine
    )  # fmt: skip
    return Session(key, view, 60 * TOKEN, members, SIGNER.address)


def _rosters(history: History) -> Rosters:
    rounds, epoch = history.rounds, CLOCK.epoch_of(history.sessions + 1)
    sold = rounds.outcome(epoch).roster if history.auctioned else ()
    return {
        rounds.service: tuple(
            RosterEntry(each.supplier, each.unit_price, each.units) for each in sold
        ),
    } | {
        history.service(service): tuple(
            RosterEntry(history.supplier(each), (2 + service) * TOKEN, 3 + each % 9)
            for each in range(history.suppliers)
            if each % history.services == service
        )[:100]
        for service in range(history.services)
    }


def _meet(history: History, standing: Standing) -> None:
    for number in range(min(history.suppliers, 18)):
        state = standing.of(history.supplier(number))
        state.in_flight, state.receipted = number % 4, 40_000 * number
        state.is_dropped = number == 11
        state.aside_until = standing.clock() + 3600 if number == 7 else 0.0
