"""Everybody leaves: what is earned is collected, what is held withdrawn, by the nodes' commands."""

import asyncio
from dataclasses import dataclass
from typing import Any

from contracts import Market, TxSender
from localnet.accounts import DEPLOYER, SOURCE
from localnet.market import LocalMarket
from localnet.nodes import SupplierNode
from localnet.provision import run_supplier


@dataclass(frozen=True, slots=True)
class Exits:
    """What `funds` said after the run, and what is left in the contracts once all have left."""

    funds: dict[str, dict[str, Any]]
    """By role, before anybody left."""
    left: int
    """Token base units in escrow and registry after everybody's exit."""

    @property
    def bonded(self) -> int:
        """Stake that claims still reserve."""
        return sum(each.get("reserved", 0) for each in self.funds.values())


def leave(market: LocalMarket) -> Exits:
    """Have suppliers, gateway, source and treasury take what is theirs; the nodes have stopped."""
    funds = {each.name: run_supplier(each.config, "funds") for each in market.suppliers}
    funds["gateway"] = market.run_gateway("funds")
    sessions = [_ask_back(each, funds[each.name]) for each in market.suppliers]
    market.run_gateway("withdraw", str(funds["gateway"]["escrow"]))
    sessions.append(market.run_gateway("funds")["withdrawal_session"])
    asyncio.run(_collect_for_others(market, max(sessions)))
    for each in market.suppliers:
        run_supplier(each.config, "withdraw")
    market.run_gateway("withdraw")
    return Exits(funds, asyncio.run(_held(market)))


def _ask_back(supplier: SupplierNode, funds: dict[str, Any]) -> int:
    """Collect and unstake; returns the session from which the stake can be taken."""
    if funds["claimable"]:
        run_supplier(supplier.config, "collect")
    asked = run_supplier(supplier.config, "unstake", str(funds["stake"]))
    number: int = asked["from_session"]
    return number


async def _collect_for_others(market: LocalMarket, session: int) -> None:
    """Pay out source and treasury, who run no node, and skip to a session."""
    async with await Market.connect([market.chain.url], market.book) as place:
        sender = TxSender(place.chain, bytes.fromhex(DEPLOYER.key[2:]))
        for payee in {SOURCE.raw, await place.parameters.treasury()}:
            if await place.escrow.claimable(payee):
                await sender.send(place.escrow.collect_for(payee))
        clock = await place.sessions.clock()
    market.chain.skip_to(clock.start(session))


async def _held(market: LocalMarket) -> int:
    async with await Market.connect([market.chain.url], market.book) as place:
        escrow, registry = place.book.escrow, place.book.registry
        return await place.token.balance(escrow) + await place.token.balance(registry)
