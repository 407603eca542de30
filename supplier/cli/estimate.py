"""The command that says what may be earned, before anything is staked."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from contracts import BlockTime, Market, Service, read_block_time, read_claims
from node.errors import OperatorError
from node.http import ClientPool
from node.settings import parse_hex
from relay_mining import Clock, Hash32, Params, RosterEntry
from supplier.cli.command import Command, Config, Json
from supplier.engines.benchmark import Benchmark, measure_engine
from supplier.engines.engine import build_engine
from supplier.engines.spec import hash_service_spec
from supplier.operation.estimate import Demand, Estimate, Plan, add_newcomer, estimate, sum_demand
from supplier.operation.past_sessions import span_of
from supplier.server.services import compute_spec
from supplier.settings import Settings

DAY_S = 86_400
WEI = 10**18


@dataclass(frozen=True, slots=True)
class _Facts:
    """A service as of the head."""

    service: Service
    demand: Demand
    candidates: tuple[RosterEntry, ...]
    params: Params
    epoch_s: float


def estimate_(
    service: Annotated[str, typer.Argument(help="0x + 64 hex")],
    config: Config = None,
    json: Json = False,
    stake: Annotated[int | None, typer.Option(min=1, help="default one lot")] = None,
    price: Annotated[int | None, typer.Option(min=1, help="default the median ask")] = None,
    epochs: Annotated[int, typer.Option(min=1, max=1_000, help="past epochs read")] = 8,
    seconds: Annotated[float, typer.Option(min=0, help="engine benchmark; 0: none")] = 10.0,
    concurrency: Annotated[int, typer.Option(min=1, max=1_024, help="of the benchmark")] = 8,
) -> None:
    """Estimate earnings before staking, from past epochs and a quick benchmark of the engine.

    Supposes that demand stays as it was and that members share it evenly. Sends nothing.

    Example: supplier estimate 0x5e...c1 --stake 1000000000 --price 2000000
    """

    async def work(command: Command) -> dict[str, object]:
        settings, service_id = command.settings(), parse_hex("service", service, 32)
        async with await Market.open(settings.chain) as market:
            facts = await _read_facts(market, service_id, epochs)
            gas = await _gas_tokens(market, settings)
        measured = None
        if seconds:
            with command.output.progress("measuring the engine"):
                measured = await _measure(settings, facts.service, seconds, concurrency)
        plan = Plan(
            stake=facts.params.lot_stake if stake is None else stake,
            unit_price=_median_price(facts.candidates) if price is None else price,
            capacity_units=None if measured is None else int(measured.units_s * facts.epoch_s),
            gas_tokens=gas,
        )
        roster = add_newcomer(facts.candidates, plan, facts.params)
        found = estimate(facts.demand, roster, plan, facts.params, facts.service.source_bps)
        return _show(command, facts, plan, found, measured)

    Command(config, json).run(work)


async def _read_facts(market: Market, service: Hash32, epochs: int) -> _Facts:
    clock, time = await market.sessions.clock(), await read_block_time(market.chain)
    current = clock.session_at(time.head)
    span = span_of(clock, current, epochs)
    claims = await read_claims(
        market.chain, market.book, span.first_block, min(span.last_block, time.head)
    )
    return _Facts(
        service=await market.registry.service(service),
        demand=sum_demand(claims, service, span.end - span.begin),
        candidates=await market.registry.candidates(service),
        params=await market.parameters.values(clock.epoch_of(current) + 1),
        epoch_s=_epoch_s(clock, time),
    )


def _epoch_s(clock: Clock, time: BlockTime) -> float:
    return clock.epoch_sessions * clock.session_blocks * time.block_s


async def _gas_tokens(market: Market, settings: Settings) -> int:
    """What a claim's gas costs now, in token base units, rounded up."""
    fees = await market.chain.fees()
    wei = settings.settlement.gas_units_per_claim * (fees.base + fees.tip)
    return -(-int(wei * settings.settlement.token_per_native) // WEI)


def _median_price(candidates: tuple[RosterEntry, ...]) -> int:
    prices = sorted(each.unit_price for each in candidates)
    if not prices:
        raise OperatorError(
            "nobody asks for this service, so there is no median ask: say what yours would be, "
            "in token base units a million units: --price 2000000"
        )
    return prices[len(prices) // 2]


async def _measure(
    settings: Settings, service: Service, seconds: float, concurrency: int
) -> Benchmark:
    """The engine of the service's model, or the first; started where it does not run by itself."""
    specs = [(each, compute_spec(each)) for each in settings.all_engines]
    its_own = (each for each in specs if hash_service_spec(each[1]) == service.spec_hash)
    chosen, spec = next(its_own, specs[0])
    async with ClientPool() as pool:
        engine = build_engine(chosen, pool, spec)
        try:
            url = await engine.start()
            return await measure_engine(pool, url, spec, service.weights, seconds, concurrency)
        finally:
            await engine.stop()


def _show(
    command: Command, facts: _Facts, plan: Plan, found: Estimate, measured: Benchmark | None
) -> dict[str, object]:
    per_day = found.net * DAY_S / facts.epoch_s if facts.epoch_s else 0.0
    demand = facts.demand
    command.output.table(
        f"{facts.service.name}: one epoch of {facts.epoch_s:.0f} s", ("what", "how much"),
        [
            ("claimed by everybody", f"{demand.units // demand.epochs} units"),
            ("your rank by price", 1 + sum(
                e.unit_price < plan.unit_price for e in facts.candidates)),
            ("sessions you are a member of", f"{found.member_share:.0%}"),
            ("your part of the traffic", f"{found.demand_units} units"),
            ("your engine serves", "not measured" if measured is None else
             f"{found.served_units} of them ({measured.output_tokens_s:.0f} tokens/s)"),
            ("gross", found.gross),
            ("shares of source, gateway, protocol", found.shares),
            ("gas", found.gas),
            ("net", found.net),
            ("net a day", int(per_day)),
        ],
    )  # fmt: skip
    if not demand.units:
        command.output.line("nothing was claimed in these epochs: the past says nothing of it")
    if found.is_bound_by_engine:
        command.output.line("the engine is the bound: a faster one would earn more")
    return {
        "plan": asdict(plan),
        "demand": asdict(demand),
        "benchmark": None if measured is None else
        {**asdict(measured), "units_s": measured.units_s},
        "estimate": asdict(found),
        "net_per_day": int(per_day),
    }  # fmt: skip
