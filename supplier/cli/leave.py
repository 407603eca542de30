"""The commands that take a supplier out of the market."""

import asyncio
from typing import Annotated

import typer

from contracts import ChainError, read_block_time
from node.settings import parse_hex
from supplier.cli.command import AtMarket, Command, Config, Json, Key
from supplier.operation.leaving import Leave, Ties, judge_leaving
from supplier.operation.ledger import read_books


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
        async with command.at_market() as here:
            withdrawn = (await _read_ties(here)).listed
            if withdrawn:
                owner, registry = here.owner(key), here.market.registry
                for service in withdrawn:
                    await owner.send(registry.remove_listing(here.supplier, service))
            leave = await _follow(command, here, wait)
        return {"withdrawn": withdrawn, "over": leave.is_over, "waits_for": leave.waits_for}

    Command(config, json).run(work)


async def _follow(command: Command, here: AtMarket, wait: bool) -> Leave:
    """How far it is; with `wait`, only once it is over, saying each time what is waited for."""
    said, market = "", here.market
    while True:
        try:
            ties = await _read_ties(here)
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
        await asyncio.sleep(here.settings.chain.poll_s)


async def _read_ties(here: AtMarket) -> Ties:
    market, settings, supplier = here.market, here.settings, here.supplier
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
