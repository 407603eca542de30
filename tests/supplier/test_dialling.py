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
from supplier.dialling import (
    Caller,
    Dialler,
    GatewayFinder,
    Place,
    Trunk,
    TrunkRules,
    compute_missing,
    only_relays,
)
from supplier.dialling.trunk import RETRY_S_MIN
from supplier.metrics import Metrics
from supplier.mining.alone import ALONE, Sharding
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
from tests.databases import Postgres, postgres
from tests.factories import DOMAIN, GATEWAY, GATEWAY_SIGNER, OPERATOR_SIGNER, SUPPLIER
from tests.gateway.porch import NUMBER, Sessions
from tests.node.loops import until
from tests.supplier.operating import Operating
from tests.supplier.sharing import a_server, let_lease_pass

__all__ = ["postgres"]
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

    def trunk(
        self, handler: Handler = echo, signer: Signer = OPERATOR_SIGNER, rules: TrunkRules = RULES
    ) -> Trunk:
        async def gateway_key(gateway: Address, number: int) -> Address:
            return GATEWAY_SIGNER.address

        caller = Caller(
            SUPPLIER, DOMAIN, lambda: NUMBER, lambda number: signer, gateway_key, 5.0,
            load_client_tls(ClientTls(), "dial.tls"),
        )  # fmt: skip
        url = f"http://127.0.0.1:{self.port}/v1"
        trunk = Trunk(GATEWAY, url, caller, handler, Limits(), rules, Metrics())
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
async def test_whom_a_gateway_refused_dials_again_as_soon_as_a_session_begins() -> None:
    patient = TrunkRules(spare=2, lines_max=16, retry_s_max=3600)
    async with a_booth() as booth:
        booth.sessions.operators.clear()
        trunk = booth.trunk(rules=patient)
        await until(lambda: trunk.last_error)
        trunk._retry_s = 3600  # as after many refusals
        trunk.hurry()
        await until(lambda: trunk._retry_s == 2 * RETRY_S_MIN)
        booth.sessions.operators[SUPPLIER] = OPERATOR_SIGNER.address
        trunk.hurry()
        await until(lambda: booth.lines.total == patient.spare)


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
        first, second = address(GATEWAY_KEY), address(OPERATOR)
        known, rich = Place(first, "http://gateway"), Place(second, "http://gateway")

        def finder(most: int, **urls: list[str]) -> GatewayFinder:
            named = {bytes.fromhex(each): found for each, found in urls.items()}
            return GatewayFinder(world.market, [SERVICE_ID], most, named)

        async def find(found: GatewayFinder, number: int = SERVED) -> tuple[Place, ...]:
            return await found.find(number, world.anvil.height)

        kept = finder(2)
        assert await find(kept) == (known,)
        await world.send(OPERATOR, registry.register_gateway(second, known.url))
        await world.send(OTHER, escrow.delegate(second, SERVICE_ID, 2 * CAP, 0))
        assert await find(kept) == (known,)  # no funds stand behind the cap
        await world.send(OTHER, escrow.deposit(address(OTHER), 2 * CAP))
        assert await find(kept) == (rich, known)  # one URL does not hide the other gateway
        assert await find(finder(1)) == (rich,)
        replicas = (Place(first, "http://a"), Place(first, "http://b"))
        assert await find(finder(2, **{first.hex(): ["http://a", "http://b"]})) == (rich, *replicas)
        await world.send(APPLICATION, escrow.delegate(first, SERVICE_ID, 0, 0))
        assert await find(kept, SERVED + 3) == (rich,)
        assert await kept.key(first, SERVED) is not None

    operator.act(work)


@dataclass
class Following:
    """Finds what a test says, in the session that it says runs."""

    current: int = 7
    head: int = 0
    places: tuple[Place, ...] = ()

    async def find(self, number: int, block: int) -> tuple[Place, ...]:
        return self.places


PLACE = Place(GATEWAY, "http://127.0.0.1:9/v1")


def start_dialler(booth: Booth, follows: Any, sharding: Sharding = ALONE) -> Dialler:
    def open_trunk(place: Place) -> Trunk:
        trunk = booth.trunk()
        booth.tasks.pop().cancel()  # the dialler runs it
        return trunk

    dialler = Dialler(follows, follows, open_trunk, 0.001, sharding)
    booth.tasks.append(asyncio.create_task(dialler.run()))
    return dialler


@pytest.mark.anyio
async def test_of_several_relay_servers_the_one_that_serves_a_gateway_dials_it(
    postgres: Postgres,
) -> None:
    url, follows = postgres.create(), Following(places=(PLACE,))
    async with a_server(url, "a") as heir, a_server(url, "b") as owner, a_booth() as booth:
        await owner.shards.require(GATEWAY)
        other = start_dialler(booth, follows, heir.shards)
        dialler = start_dialler(booth, follows, owner.shards)
        await until(lambda: booth.lines.total == RULES.spare)
        await until(lambda: other._looked == follows.current)
        assert (len(dialler.summary()), other.summary()) == (1, [])

        booth.tasks.pop().cancel()  # the owner is dead, and its lease over
        await dialler.close(0)
        let_lease_pass(url, owner)
        heir.clock.ahead += 1
        await until(lambda: booth.lines.total == RULES.spare)
        assert [each["lines"] for each in other.summary()] == [RULES.spare]
        assert heir.shards.owns(GATEWAY)


@pytest.mark.anyio
async def test_a_gateway_that_lost_its_delegations_is_kept_until_its_receipts_are_too_late() -> (
    None
):
    follows = Following(places=(PLACE,))
    async with a_booth() as booth:
        dialler = start_dialler(booth, follows)
        await until(lambda: booth.lines.total == RULES.spare)
        follows.places = ()
        for follows.current in (8, 9):
            await until(lambda: dialler._looked == follows.current)
        assert [each["lines"] for each in dialler.summary()] == [RULES.spare]
        follows.current = 10
        await until(lambda: not dialler.summary())
        await until(lambda: not booth.lines.total)
