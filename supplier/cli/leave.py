"""The commands that take a supplier out of the market."""

import asyncio
from typing import Annotated

import typer

from contracts import ChainError, Market, read_block_time
from node.settings import parse_hex
from relay_mining import Address
from supplier.cli.command import Command, Config, Json, Key
from supplier.operation.leaving import Leave, Ties, judge_leaving
from supplier.operation.ledger import read_books
from supplier.settings import Settings


def drain(
    config: Config = None,
    json: Json = False,
    key: Key = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="return once nothing is owed any more")
    ] = False,
) -> None:
    """Withdraw every ask, so that sessions end; `serve` has to run until all are settled.

    Example: supplier drain --wait && systemctl stop lode-supplier
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            withdrawn = (await _read_ties(market, settings, supplier)).listed
            if withdrawn:
                owner = command.owner(market, settings, key)
                for service in withdrawn:
                    await owner.send(market.registry.remove_listing(supplier, service))
            leave = await _follow(command, market, settings, supplier, wait)
        return {"withdrawn": withdrawn, "over": leave.is_over, "waits_for": leave.waits_for}

    Command(config, json).run(work)


async def _follow(
    command: Command, market: Market, settings: Settings, supplier: Address, wait: bool
) -> Leave:
    """How far it is; with `wait`, only once it is over, saying each time what is waited for."""
    said = ""
    while True:
        try:
            ties = await _read_ties(market, settings, supplier)
            clock, time = await market.sessions.clock(), await read_block_time(market.chain)
        except ChainError as error:
            if not wait:
                raise
            command.output.line(f"the chain does not answer, asking again: {error}")
        else:
            leave = judge_leaving(ties, clock, time)
            if leave.waits_for != said:
                said = leave.waits_for
                command.output.line(said or "nothing is owed any more: `supplier serve` may stop")
            if leave.is_over or not wait:
                return leave
        await asyncio.sleep(settings.chain.poll_s)


async def _read_ties(market: Market, settings: Settings, supplier: Address) -> Ties:
    services = [parse_hex("services", each, 32) for each in settings.services]
    head = (await market.chain.head()).number
    clock = await market.sessions.clock()
    epoch = clock.epoch_of(clock.session_at(head))
    listed = [
        service
        for service in services
        if any(e.supplier == supplier for e in await market.registry.suppliers(service, block=head))
    ]
    rosters = {
        each: [
            service
            for service in services
            if any(
                e.supplier == supplier
                for e in await market.sessions.roster(service, each, block=head)
            )
        ]
        for each in (epoch, epoch + 1)
    }
    books = await asyncio.to_thread(read_books, settings, supplier, market.domain)
    return Ties(
        listed=tuple(listed),
        rosters=rosters,
        open_sessions=tuple(book.key.number for book in books.sessions.values()),
        bonds=(await market.registry.supplier(supplier, block=head)).reserved,
    )
