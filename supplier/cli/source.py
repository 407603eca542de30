"""The commands of a source: who owns a model and lists it as a service."""

from dataclasses import asdict
from typing import Annotated

import typer

from contracts import NOBODY, Market, Service
from node.settings import parse_hex
from relay_mining import Address, UnitWeights
from supplier.cli.command import Command, Config, Json, Key, owner_of
from supplier.engines.spec import hash_service_spec
from supplier.server.services import compute_spec

AUCTION = "auction"
source_cli = typer.Typer(no_args_is_help=True, help="For owners of models: list services.")


@source_cli.command("list")
def source_list(  # noqa: PLR0913, PLR0917  options of a command line
    name: Annotated[str, typer.Argument(help="a human's name for the service")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
    request_units: Annotated[int, typer.Option(help="units of every relay")] = 0,
    input_units: Annotated[int, typer.Option(help="units of a prompt token")] = 1,
    cached_units: Annotated[int, typer.Option(help="units of a cached prompt token")] = 0,
    output_units: Annotated[int, typer.Option(help="units of a completion token")] = 4,
    source_bps: Annotated[int, typer.Option(help="the source's share, in 1/10000")] = 500,
    market: Annotated[
        str, typer.Option(help="`auction`, or a roster contract; default posted asks")
    ] = "",
    engine: Annotated[str | None, typer.Option(help="which of [[engines]]")] = None,
) -> None:
    """List the model of this config as a service, as its source.

    Example: supplier source list lode-demo --input-units 1 --output-units 4 --source-bps 500
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        spec = compute_spec(settings.pick_engine(engine))
        async with await Market.open(settings.chain) as place:
            source = owner_of(place, settings, key)
            service = Service(
                source=source.address,
                spec_hash=hash_service_spec(spec),
                weights=UnitWeights(request_units, input_units, cached_units, output_units),
                source_bps=source_bps,
                market=_read_market(market, place),
                name=name,
            )
            service_id = await source.list_service(service)
        return {"service": service_id, "spec": asdict(spec), "source": source.address}

    Command(config, json).run(work)


@source_cli.command("open")
def source_open(
    service: Annotated[str, typer.Argument(help="0x + 64 hex, listed with --market auction")],
    price: Annotated[int, typer.Option(min=1, help="token base units per million units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
) -> None:
    """Open the epoch auction of a service of yours at a first price; once.

    Example: supplier source open 0x5e...c1 --price 2000000
    """

    async def work(command: Command) -> dict[str, object]:
        settings, service_id = command.settings(), parse_hex("service", service, 32)
        async with await Market.open(settings.chain) as place:
            source = owner_of(place, settings, key)
            receipt = await source.send(place.auction.open_market(service_id, price))
        return {
            "service": service_id, "price": price, "transaction": receipt.transaction_hash
        }  # fmt: skip

    Command(config, json).run(work)


def _read_market(name: str, place: Market) -> Address:
    """Who sets the prices: the auction, a contract by its address, or nobody but the suppliers."""
    if name == AUCTION:
        return place.book.auction
    return parse_hex("market", name, 20) if name else NOBODY
