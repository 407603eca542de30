"""The commands that say where the money is."""

from dataclasses import asdict

from contracts import Market
from supplier.command import Command, Config, Json
from supplier.funds import describe_funds, read_funds_view
from supplier.ledger import read_books


def funds(config: Config = None, json: Json = False) -> None:
    """Show where the money is, until when, and what frees it.

    Example: supplier funds
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            books = read_books(settings, supplier, market.domain)
            gas = settings.settlement.gas_units_per_claim
            view = await read_funds_view(market, supplier, books, gas)
        holdings = describe_funds(view)
        command.output.table(
            "funds", ("where", "amount", "unit", "until", "what frees it"),
            [(each.where, each.amount, each.unit, each.until, each.frees) for each in holdings],
        )  # fmt: skip
        return {
            **asdict(view.funds),
            "supplier": supplier,
            "payout": view.account.payout,
            "holdings": [asdict(each) for each in holdings],
        }

    Command(config, json).run(work)
