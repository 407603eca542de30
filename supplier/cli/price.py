"""The commands for prices: set one, try one on the past, and what would have earned most."""

from dataclasses import asdict, astuple
from typing import Annotated

import typer

from contracts import Market, PastClaim
from node.errors import OperatorError
from node.settings import parse_hex
from pricing import QUANTITY_MAX, Order
from relay_mining import Address, Hash32
from supplier.cli.command import Command, Config, Json
from supplier.cli.stake import list_
from supplier.operation.estimate import sum_demand
from supplier.operation.past_rounds import (
    AskTerms,
    own_ask,
    read_past_rounds,
    try_ask,
    try_ask_in_each,
)
from supplier.operation.past_sales import (
    Costs,
    PastSession,
    Sales,
    simulate,
    simulate_by_epoch,
    suggest,
)
from supplier.operation.past_sessions import read_past_sessions

price_cli = typer.Typer(no_args_is_help=True, help="Your asks: set, simulated, suggested.")
price_cli.command(
    "set", help="The same as list.\n\nExample: supplier price set 0x5e...c1 --price 2000000"
)(list_)

ServiceId = Annotated[str, typer.Argument(help="0x + 64 hex")]
Epochs = Annotated[int, typer.Option(min=1, max=1_000, help="past epochs read")]
Cost = Annotated[
    int, typer.Option(min=0, help="token base units that serving a million units costs you")
]
ROUND_COLUMNS = ("epoch", "posted", "units", "unit price", "gross", "net")
COLUMNS = ("price", "sessions", "units", "gross", "net")
SUGGESTIONS_SHOWN = 5


@price_cli.command("simulate")
def simulate_price(
    service: ServiceId,
    price: Annotated[int, typer.Option(min=1, help="token base units per million units")],
    cost: Cost = 0,
    epochs: Epochs = 8,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what a price would have earned in sessions you were drawn for, beside what you asked.

    Supposes idle gateways, which ask the cheaper of two members drawn at random. Sends nothing.

    Example: supplier price simulate 0x5e...c1 --price 1900000 --cost 1200000
    """

    async def work(command: Command) -> dict[str, object]:
        past = await _read(command, service, cost, epochs)
        sessions, supplier, costs, asked = past
        by_epoch = simulate_by_epoch(sessions, supplier, price, costs)
        command.output.table(
            f"at {price} token base units a million compute units", ("epoch", *COLUMNS[1:]),
            [(epoch, *_row(each)[1:]) for epoch, each in by_epoch.items()],
        )  # fmt: skip
        return {
            "simulated": asdict(simulate(sessions, supplier, price, costs)),
            "asked": asdict(simulate(sessions, supplier, asked, costs)),
            "epochs": {str(epoch): asdict(each) for epoch, each in by_epoch.items()},
        }

    Command(config, json).run(work)


@price_cli.command("suggest")
def suggest_price(
    service: ServiceId,
    cost: Cost = 0,
    epochs: Epochs = 8,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show which prices would have earned most in the sessions you were drawn for.

    Rivals answer: a price that was best against theirs is no promise. Sends nothing.

    Example: supplier price suggest 0x5e...c1 --cost 1200000
    """

    async def work(command: Command) -> dict[str, object]:
        sessions, supplier, costs, asked = await _read(command, service, cost, epochs)
        found = suggest(sessions, supplier, costs)[:SUGGESTIONS_SHOWN]
        now = simulate(sessions, supplier, asked, costs)
        command.output.table(
            f"best first; you ask {asked}", COLUMNS, [_row(each) for each in (*found, now)]
        )
        return {
            "suggested": found[0].price,
            "prices": [asdict(each) for each in found],
            "asked": asdict(now),
        }

    Command(config, json).run(work)


@price_cli.command("ask")
def try_auction_ask(
    service: ServiceId,
    price: Annotated[int, typer.Option(min=1, help="token base units per million units")],
    quantity: Annotated[int, typer.Option(min=1, max=QUANTITY_MAX, help="millions of units")],
    cost: Cost = 0,
    epochs: Epochs = 8,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what an ask would have sold in past rounds of an auction, beside what you asked.

    The others' orders are as they were revealed. Sends nothing.

    Example: supplier price ask 0x5e...c1 --price 1200000 --quantity 40 --cost 1200000
    """

    async def work(command: Command) -> dict[str, object]:
        service_id = parse_hex("service", service, 32)
        async with command.at_market() as here:
            terms = AskTerms(cost, await _auction_shares_bps(here.market, service_id))
            rounds = await read_past_rounds(here.market, service_id, epochs)
        tried = try_ask_in_each(rounds, Order(here.supplier, price, quantity), terms)
        owned = [(each, own_ask(each, here.supplier)) for each in rounds]
        asked = [try_ask(each, own, terms) for each, own in owned if own]
        command.output.table(
            f"{quantity} million compute units at {price} or more", ROUND_COLUMNS,
            [astuple(each) for each in tried],
        )  # fmt: skip
        return {
            "tried": [asdict(each) for each in tried],
            "asked": [asdict(each) for each in asked],
        }

    Command(config, json).run(work)


async def _auction_shares_bps(market: Market, service: Hash32) -> int:
    """What source and protocol take of an auctioned service (OperatorError for another one)."""
    listed = await market.registry.service(service)
    if listed.market != market.book.auction:
        raise OperatorError("its asks are posted: see `supplier price simulate`")
    clock, head = await market.sessions.clock(), await market.chain.head()
    params = await market.parameters.values(clock.epoch_of(clock.session_at(head.number)))
    return listed.source_bps + params.protocol_bps


async def _read(
    command: Command, service: str, cost: int, epochs: int
) -> tuple[tuple[PastSession, ...], Address, Costs, int]:
    """Past sessions, the supplier, what comes off its sales, and its ask now."""
    service_id = parse_hex("service", service, 32)
    async with command.at_market() as here:
        market, supplier = here.market, here.supplier
        sessions, claims = await read_past_sessions(market, service_id, epochs)
        asked = await _ask_now(market, service_id, supplier)
        costs = Costs(cost, await _shares_bps(market, service_id, claims, epochs))
    if not any(e.supplier == supplier for each in sessions for e in each.members):
        raise OperatorError(
            f"no session claimed in the last {epochs} epochs drew this supplier: "
            "see `supplier estimate`, or `supplier explain`"
        )
    return sessions, supplier, costs, asked


async def _ask_now(market: Market, service: Hash32, supplier: Address) -> int:
    for listing in await market.registry.suppliers(service):
        if listing.supplier == supplier:
            return listing.unit_price
    raise OperatorError("this supplier has no ask for the service: `supplier price set` makes one")


async def _shares_bps(
    market: Market, service: Hash32, claims: tuple[PastClaim, ...], epochs: int
) -> int:
    """What source, gateway and protocol take together, the gateway's fee as it was on average."""
    listed = await market.registry.service(service)
    clock, head = await market.sessions.clock(), await market.chain.head()
    params = await market.parameters.values(clock.epoch_of(clock.session_at(head.number)))
    fee_bps = sum_demand(claims, service, epochs).fee_bps
    return listed.source_bps + fee_bps + params.protocol_bps


def _row(sales: Sales) -> tuple[int, ...]:
    return (sales.price, sales.sessions, sales.units, sales.gross, sales.net)
