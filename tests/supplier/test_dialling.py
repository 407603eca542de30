"""A supplier that dials: how many lines, whom it believes, and how it comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.api.data_plane import Call
from gateway.dialling import Door, Lobby
from gateway.errors import GatewayError
from node.http import (
    ClientPool,
    Handler,
    Limits,
    LineRules,
    Lines,
    Request,
    Response,
    Server,
    line_url,
    serve,
)
from node.http.connection import Answer
from node.tls import ClientTls, load_client_tls
from relay_mining import DIAL_PROTOCOL, Address, Signer, keccak
from supplier.dialling import Caller, GatewayFinder, Trunk, TrunkRules, compute_missing, only_relays
from supplier.metrics import Metrics
from supplier.operation.doctor.finding import Verdict
from supplier.operation.doctor.reach_checks import judge_lines
from supplier.operation.doctor.settings_checks import check_settings
from supplier.settings import Settings
from tests.contracts.world import (
    APPLICATION,
    CAP,
    OPERATOR,
    OTHER,
    SERVED,
    SERVICE_ID,
    World,
    address,
)
from tests.contracts.world import GATEWAY as GATEWAY_KEY
from tests.factories import DOMAIN, GATEWAY, GATEWAY_SIGNER, OPERATOR_SIGNER, SUPPLIER
from tests.gateway.porch import NUMBER, Sessions
from tests.node.loops import until
from tests.supplier.operating import Operating

NAME = SUPPLIER.hex()
RULES = TrunkRules(spare=2, lines_max=16, retry_s_max=0.05)


@pytest.mark.parametrize(
    ("lines", "busy", "missing"),
    [(0, 0, 2), (1, 0, 1), (2, 0, 0), (9, 0, 0), (2, 1, 1), (3, 2, 1), (4, 4, 4), (16, 16, 0),
     (12, 12, 4), (8, 8, 8)],
)  # fmt: skip
def test_there_are_as_many_idle_lines_as_busy_ones_within_bounds(
    lines: int, busy: int, missing: int
) -> None:
    assert compute_missing(lines, busy, RULES) == missing


async def echo(request: Request) -> Response:
    return Response(200, request.body)


@dataclass
class Booth:
    """A gateway's door on a port that can be closed and opened again, and a trunk to it."""

    lines: Lines
    sessions: Sessions
    outcomes: list[str]
    pool: ClientPool
    port: int = 0
    server: Server | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    trunks: list[Trunk] = field(default_factory=list)

    async def open(self) -> None:
        door = Door(self.sessions, Lobby(self.lines, 64, 5.0, self.outcomes.append))

        async def handle(request: Request) -> Answer:
            call = Call(request, request.headers, request.body, (), b"", request.method)
            try:
                return await door.answer(call, request.path)
            except GatewayError as error:
                return Response(error.status, error.body())

        limits = Limits(upgrade=DIAL_PROTOCOL)
        self.server = await serve(handle, port=self.port, limits=limits)
        self.port = self.server.port

    async def shut(self) -> None:
        """As a gateway that is killed."""
        assert self.server is not None
        await self.server.close(0)
        self.lines.close()

    def trunk(self, handler: Handler = echo, signer: Signer = OPERATOR_SIGNER) -> Trunk:
        async def gateway_key(gateway: Address, number: int) -> Address:
            return GATEWAY_SIGNER.address

        caller = Caller(
            SUPPLIER, DOMAIN, lambda: NUMBER, lambda number: signer, gateway_key, 5.0,
            load_client_tls(ClientTls(), "dial.tls"),
        )  # fmt: skip
        url = f"http://127.0.0.1:{self.port}/v1"
        trunk = Trunk(GATEWAY, url, caller, handler, Limits(), RULES, Metrics())
        self.trunks.append(trunk)
        self.tasks.append(asyncio.create_task(trunk.run()))
        return trunk

    async def post(self, path: str = "/v1/chat/completions") -> int:
        return (await self.pool.request("POST", line_url(NAME) + path, (), b"x")).status


@asynccontextmanager
async def a_booth() -> AsyncIterator[Booth]:
    lines = Lines(LineRules(beat_s=0))
    sessions = Sessions(operators={SUPPLIER: OPERATOR_SIGNER.address})
    async with ClientPool(lines=lines) as pool:
        booth = Booth(lines, sessions, [], pool)
        await booth.open()
        try:
            yield booth
        finally:
            for task in booth.tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for trunk in booth.trunks:
                await trunk.close(0)
            await booth.shut()


@pytest.mark.anyio
async def test_lines_grow_with_a_burst_and_go_when_it_is_over() -> None:
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return Response(200)

    async with a_booth() as booth:
        trunk = booth.trunk(wait)
        await until(lambda: booth.lines.total == RULES.spare)
        asked = [asyncio.ensure_future(booth.post()) for _ in range(12)]
        await until(lambda: trunk.server.in_flight == 12)
        await until(lambda: booth.lines.total == RULES.lines_max)
        gate.set()
        assert await asyncio.gather(*asked) == [200] * 12
        while booth.lines.total > RULES.spare:
            await booth.lines.beat()
            await asyncio.sleep(0)
        await until(lambda: booth.lines.total == RULES.spare)
        assert await booth.post() == 200


@pytest.mark.anyio
async def test_a_gateway_that_starts_again_gets_its_lines_back() -> None:
    async with a_booth() as booth:
        trunk = booth.trunk()
        await until(lambda: booth.lines.total == RULES.spare)
        await booth.shut()
        await until(lambda: trunk.last_error)
        assert trunk.lines == 0
        await booth.open()
        await until(lambda: booth.lines.total == RULES.spare)
        assert await booth.post() == 200
        assert trunk.last_error == ""


@pytest.mark.anyio
async def test_a_gateway_without_its_key_gets_no_line() -> None:
    async with a_booth() as booth:

        async def impostor(number: int) -> Signer:
            return Signer(keccak(b"an impostor"))

        booth.sessions.signer_of = impostor  # type: ignore[method-assign]
        trunk = booth.trunk()
        await until(lambda: "key on record" in trunk.last_error)
        assert trunk.lines == 0
        await until(lambda: not booth.lines.total)


@pytest.mark.anyio
async def test_a_former_operator_is_told_no() -> None:
    async with a_booth() as booth:
        trunk = booth.trunk(signer=Signer(keccak(b"the former operator")))
        await until(lambda: trunk.last_error)
        assert trunk.lines == 0
        assert set(booth.outcomes) == {"wrong_key"}


@pytest.mark.anyio
async def test_a_refusal_says_why_and_is_asked_again() -> None:
    async with a_booth() as booth:
        booth.sessions.operators.clear()
        trunk = booth.trunk()
        await until(lambda: "in no roster" in trunk.last_error)
        booth.sessions.operators[SUPPLIER] = OPERATOR_SIGNER.address
        await until(lambda: booth.lines.total == RULES.spare)


@pytest.mark.anyio
async def test_gateways_see_relay_paths_only() -> None:
    async with a_booth() as booth:
        booth.trunk(only_relays(echo))
        await until(lambda: booth.lines.total)
        paths = ("/v1/chat/completions", "/lode/v1/cancel", "/metrics", "/", "/v1/models")
        assert [await booth.post(each) for each in paths] == [200, 200, 404, 404, 404]


def test_the_doctor_says_which_gateways_have_lines() -> None:
    def page(*lines: int) -> dict[str, Any]:
        gateways = [{"gateway": "0x", "url": f"u{n}", "lines": n, "error": "no"} for n in lines]
        return {"gateways": gateways}

    def verdicts(live: dict[str, Any] | None) -> list[Verdict]:
        return [each.verdict for each in judge_lines(live)]

    assert verdicts(None) == [Verdict.SKIPPED]
    assert verdicts(page()) == [Verdict.SKIPPED]
    assert verdicts(page(4, 0)) == [Verdict.OK, Verdict.WARNING]
    assert verdicts(page(0)) == [Verdict.FAILED]


def test_the_url_of_a_supplier_that_dials_is_no_mistake() -> None:
    assert "public_url" not in {e.name for e in check_settings(Settings(public_url="dial:"))}
    assert "public_url" in {e.name for e in check_settings(Settings(public_url="dial:x"))}


@pytest.mark.anvil
def test_gateways_with_funds_behind_them_are_dialled_first(operator: Operating) -> None:
    async def work(world: World) -> None:
        registry, escrow = world.market.registry, world.market.escrow
        first = address(GATEWAY_KEY)

        def finder(most: int, **urls: Any) -> GatewayFinder:
            return GatewayFinder(world.market, [SERVICE_ID], most, urls.get("urls", {}))

        async def find(found: GatewayFinder, number: int = SERVED) -> dict[str, Address]:
            return await found.find(number, world.anvil.height)

        kept = finder(2)
        assert await find(kept) == {"http://gateway": first}
        await world.send(OPERATOR, registry.register_gateway(address(OPERATOR), "http://poor"))
        call = escrow.delegate(address(OPERATOR), SERVICE_ID, 100 * CAP, 0)
        await world.send(OTHER, call)
        assert set(await find(kept)) == {"http://gateway"}  # no funds stand behind the cap
        await world.send(OTHER, escrow.deposit(address(OTHER), 2 * CAP))
        assert list(await find(kept)) == ["http://poor", "http://gateway"]
        assert list(await find(finder(1))) == ["http://poor"]
        named = finder(2, urls={first: ["http://a", "http://b"]})
        assert list(await find(named)) == ["http://poor", "http://a", "http://b"]
        revoked = escrow.delegate(first, SERVICE_ID, 0, 0)
        await world.send(APPLICATION, revoked)
        assert list(await find(kept, SERVED + 3)) == ["http://poor"]
        assert await kept.key(first, SERVED) is not None

    operator.act(work)
