"""The commands that say where the money is."""

from dataclasses import asdict

from contracts import Market
from supplier.command import Command, Config, Json
from supplier.owner import read_funds


def funds(config: Config = None, json: Json = False) -> None:
    """Show where the money is, until when, and what frees it.

    Example: supplier funds
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            found, account = await read_funds(market, supplier)
        command.output.table(
            "funds, in token base units",
            ("where", "amount", "what frees it"),
            [
                ("stake, free", found.free, "supplier unstake AMOUNT"),
                ("bonds of claims", found.reserved, "payment of the claims, within two sessions"),
                ("leaving", found.unstaking, f"supplier withdraw, session {found.unstake_session}"),
                ("earned", found.claimable, "supplier collect"),
                ("paid out", found.payout_balance, "yours"),
            ],
        )
        return {**asdict(found), "supplier": supplier, "payout": account.payout}

    Command(config, json).run(work)
