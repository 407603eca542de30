"""The commands of the owner: stake, ask, and take back."""

import secrets
from typing import Annotated

import typer

from contracts import Market
from node.errors import OperatorError
from node.settings import parse_hex
from supplier.cli.command import Command, Config, Json, Key, owner_of
from supplier.config_file import set_value
from supplier.keys import load_operator
from supplier.owner import Registration, read_funds


def stake(
    amount: Annotated[int, typer.Argument(help="token base units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
    payout: Annotated[str | None, typer.Option(help="address; default the owner")] = None,
    bond_cap: Annotated[
        int | None, typer.Option(help="most bond at risk a session; default the stake")
    ] = None,
    salt: Annotated[str | None, typer.Option(help="0x + 64 hex; default random")] = None,
) -> None:
    """Register this supplier, the first time, and stake on it.

    Example: supplier stake 1000000000 --bond-cap 500000000
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        async with await Market.open(settings.chain) as market:
            owner = owner_of(market, settings, key)
            if settings.supplier_id:
                supplier = settings.supplier()
            else:
                operator = load_operator(settings.keys, market.book.chain_id)
                registration = Registration(
                    operator=operator.address,
                    payout=parse_hex("payout", payout, 20) if payout else owner.address,
                    url=settings.public_url,
                    bond_cap=amount if bond_cap is None else bond_cap,
                )
                chosen = parse_hex("salt", salt, 32) if salt else secrets.token_bytes(32)
                supplier = await owner.register(registration, chosen)
                set_value(command.path, "supplier_id", "0x" + supplier.hex())
            receipt = await owner.stake(supplier, amount)
            funds, _ = await read_funds(market, supplier)
            return {
                "supplier": supplier,
                "stake": funds.stake,
                "transaction": receipt.transaction_hash,
            }

    Command(config, json).run(work)


def list_(
    service: Annotated[str, typer.Argument(help="0x + 64 hex")],
    price: Annotated[int, typer.Option(help="token base units per million compute units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
) -> None:
    """Post an ask for a service; it counts from the next epoch's roster on.

    Example: supplier list 0x5e...c1 --price 2000000
    """

    async def work(command: Command) -> dict[str, object]:
        service_id = parse_hex("service", service, 32)
        async with command.at_market() as here:
            call = here.market.registry.set_listing(here.supplier, service_id, price)
            receipt = await here.owner(key).send(call)
        text, listed = "0x" + service_id.hex(), here.settings.services
        if text not in listed:
            set_value(command.path, "services", [*listed, text])
        return {"service": text, "price": price, "transaction": receipt.transaction_hash}

    Command(config, json).run(work)


def update(
    config: Config = None,
    json: Json = False,
    key: Key = None,
    url: Annotated[str, typer.Option(help="where gateways reach this server, or dial:")] = "",
    payout: Annotated[str, typer.Option(help="address that is paid")] = "",
    bond_cap: Annotated[int | None, typer.Option(min=0, help="most bond at risk a session")] = None,
) -> None:
    """Change what was registered: URL, payout address, bond cap; each counts at once.

    Example: supplier update --url https://gpu.example.com --bond-cap 500000000
    """

    async def work(command: Command) -> dict[str, object]:
        async with command.at_market() as here:
            registry, supplier = here.market.registry, here.supplier
            calls = []
            if url:
                calls.append(registry.set_url(supplier, url))
            if payout:
                calls.append(registry.set_payout(supplier, parse_hex("payout", payout, 20)))
            if bond_cap is not None:
                calls.append(registry.set_bond_cap(supplier, bond_cap))
            if not calls:
                raise OperatorError("nothing to change: give --url, --payout or --bond-cap")
            owner = here.owner(key)
            for call in calls:
                await owner.send(call)
            account = await registry.supplier(supplier)
        if url:
            set_value(command.path, "public_url", url)
        return {"url": account.url, "payout": account.payout, "bond_cap": account.bond_cap}

    Command(config, json).run(work)


def unstake(
    amount: Annotated[int, typer.Argument(help="token base units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
) -> None:
    """Ask for stake back; `supplier withdraw` takes it some sessions later.

    Example: supplier unstake 500000000
    """

    async def work(command: Command) -> dict[str, object]:
        async with command.at_market() as here:
            call = here.market.registry.request_unstake(here.supplier, amount)
            await here.owner(key).send(call)
            found, _ = await read_funds(here.market, here.supplier)
        return {"unstaking": found.unstaking, "from_session": found.unstake_session}

    Command(config, json).run(work)


def withdraw(config: Config = None, json: Json = False, key: Key = None) -> None:
    """Take what `supplier unstake` asked for, once its time has come.

    Example: supplier withdraw
    """

    async def work(command: Command) -> dict[str, object]:
        async with command.at_market() as here:
            before, _ = await read_funds(here.market, here.supplier)
            if not before.unstaking:
                raise OperatorError("nothing is leaving: run `supplier unstake AMOUNT` first")
            call = here.market.registry.finish_unstake(here.supplier)
            receipt = await here.owner(key).send(call)
        return {"withdrawn": before.unstaking, "transaction": receipt.transaction_hash}

    Command(config, json).run(work)


def collect(config: Config = None, json: Json = False, key: Key = None) -> None:
    """Pay what was earned to the payout address; any key may.

    Example: supplier collect
    """

    async def work(command: Command) -> dict[str, object]:
        async with command.at_market() as here:
            found, account = await read_funds(here.market, here.supplier)
            if not found.claimable:
                raise OperatorError("nothing to collect yet")
            call = here.market.escrow.collect_for(account.payout)
            receipt = await here.owner(key).send(call)
        return {
            "collected": found.claimable,
            "payout": account.payout,
            "transaction": receipt.transaction_hash,
        }

    Command(config, json).run(work)
