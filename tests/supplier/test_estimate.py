"""Expected earnings: as a table, and on a real chain with a real engine."""

from dataclasses import replace

import pytest

from contracts import PastClaim
from node.errors import OperatorError
from node.http import ClientPool, Request, Response, serve
from relay_mining import Claim, RosterEntry, TrieRoot
from supplier.config_file import set_value
from supplier.engines.benchmark import measure_engine
from supplier.operation.estimate import Demand, Plan, add_newcomer, estimate, sum_demand
from supplier.server.services import compute_spec
from supplier.settings import EngineSettings
from tests.contracts.world import CAP, PRICE, SERVICE_ID
from tests.factories import PARAMS, SUPPLIER, WEIGHTS, a_hash, a_session, an_address
from tests.supplier.operating import MODEL, Operating

DEMAND = Demand(epochs=2, units=2_000_000, value=2_000_000, claims=4, sessions=4, fee_bps=100)
PLAN = Plan(stake=1_000_000, unit_price=1_000_000, capacity_units=None, gas_tokens=0)
ALONE: tuple[RosterEntry, ...] = ()


def test_a_supplier_that_is_alone_gets_everything_but_the_shares() -> None:
    found = estimate(DEMAND, add_newcomer(ALONE, PLAN, PARAMS), PLAN, PARAMS, source_bps=500)

    assert (found.member_share, found.traffic_share) == (1.0, 1.0)
    assert (found.served_units, found.gross) == (1_000_000, 1_000_000)
    assert found.shares == 1_000_000 * (500 + 100 + PARAMS.protocol_bps) // 10_000
    assert found.net == found.gross - found.shares
    assert not found.is_bound_by_engine


@pytest.mark.parametrize(("stake", "lots"), [(999_999, 0), (1_000_000, 1), (10**12, 100)])
def test_stake_counts_in_capped_lots(stake: int, lots: int) -> None:
    roster = add_newcomer(ALONE, replace(PLAN, stake=stake), PARAMS)

    assert [each.weight for each in roster] == ([lots] if lots else [])
    if not lots:
        assert estimate(DEMAND, roster, PLAN, PARAMS, 0).net == 0


def test_the_engine_bounds_what_is_served_and_gas_comes_off() -> None:
    roster = add_newcomer(ALONE, PLAN, PARAMS)
    plan = replace(PLAN, capacity_units=999_999, gas_tokens=10)

    found = estimate(DEMAND, roster, plan, PARAMS, source_bps=0)

    assert (found.served_units, found.is_bound_by_engine) == (999_999, True)
    assert found.gas == 2 * 10  # two sessions an epoch are claimed
    assert not estimate(DEMAND, roster, replace(plan, capacity_units=10**6), PARAMS, 0) \
        .is_bound_by_engine  # fmt: skip


def test_rivals_take_their_part() -> None:
    rivals = tuple(RosterEntry(an_address(each), 1, 1) for each in range(7))
    found = estimate(DEMAND, add_newcomer(rivals, PLAN, PARAMS), PLAN, PARAMS, 0)

    assert found.traffic_share == pytest.approx(1 / 8, abs=0.03)
    nobody = estimate(replace(DEMAND, units=0, sessions=0), rivals, PLAN, PARAMS, 0)
    assert (nobody.net, nobody.gas) == (0, 0)


def test_demand_is_what_was_claimed_for_the_service() -> None:
    def a_claim(number: int, value: int, fee_bps: int, supplier: bytes = SUPPLIER) -> PastClaim:
        session = a_session(number=number)
        root = TrieRoot(a_hash("root"), value, 1)
        return PastClaim(Claim(supplier, session, root, value, 1, 1, fee_bps, PRICE), 1)

    service = a_session().service
    claims = [a_claim(7, 100, 0), a_claim(7, 200, 30, an_address("b")), a_claim(8, 100, 0)]

    assert sum_demand(claims, service, 2) == Demand(2, 400, 400, 3, 2, fee_bps=15)
    assert sum_demand(claims, a_hash("another"), 2) == Demand(2, 0, 0, 0, 0, 0)


@pytest.mark.anvil
def test_an_estimate_from_real_claims_and_a_real_engine(operator: Operating) -> None:
    service = "0x" + SERVICE_ID.hex()
    assert "no epoch is over yet" in operator.cli.refuse("estimate", service)
    claim = operator.claim_session()
    operator.market.anvil.mine(60 * 2)  # epoch 1 is over
    set_value(operator.config, "supplier_id", "")  # before the first stake

    found = operator.cli.run("estimate", service, "--seconds", 0.5, "--concurrency", 2)

    assert found["demand"]["units"] == claim.root.sum
    assert found["demand"]["value"] == claim.value <= CAP
    assert found["plan"]["unit_price"] == PRICE
    assert found["benchmark"]["units_s"] > 0
    assert 0 < found["estimate"]["member_share"] <= 1
    dear = operator.cli.run("estimate", service, "--seconds", 0, "--price", 2 * PRICE)
    cheap = operator.cli.run("estimate", service, "--seconds", 0, "--price", PRICE)
    assert dear["benchmark"] is None
    assert dear["estimate"]["gross"] == pytest.approx(2 * cheap["estimate"]["gross"], abs=1)

    unasked = operator.cli.run("source", "list", "unasked")["service"]
    assert "--price 2000000" in operator.cli.refuse("estimate", unasked, "--seconds", 0)
    first = operator.cli.run("estimate", unasked, "--seconds", 0, "--price", PRICE)
    assert (first["demand"]["units"], first["estimate"]["net"]) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"<html>"), (200, b"{}")])
async def test_an_engine_that_fails_is_named(status: int, body: bytes) -> None:
    async def answer(request: Request) -> Response:
        return Response(status, body)

    server = await serve(answer)
    spec = compute_spec(EngineSettings(model=str(MODEL)))
    async with ClientPool() as pool:
        with pytest.raises(OperatorError, match="test request"):
            url = f"http://127.0.0.1:{server.port}"
            await measure_engine(pool, url, spec, WEIGHTS, seconds=5, concurrency=3)
    await server.close(0)
