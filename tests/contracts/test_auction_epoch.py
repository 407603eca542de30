"""An epoch of fifty suppliers and fifty applications, from sealed orders to paid claims."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from contracts import OrderSide, OrderState, compute_windows
from pricing import reserve_at
from relay_mining import BPS, RosterEntry, SessionKey, weigh_by_cost
from tests.contracts.anvil import start_anvil
from tests.contracts.auction_epoch import (
    DISORDERLY,
    EPOCH,
    FIRST_SESSION,
    GATEWAY,
    HONEST,
    OMITTING,
    PRICE,
    TERMS,
    TRADERS,
    TREASURY,
    WATCHER,
    Epoch,
    clear,
    open_epoch,
    trade,
    trader,
    use,
)

pytestmark = [pytest.mark.anvil]


async def play(epoch_of: dict[str, Any], folder: Path) -> None:
    epoch = await open_epoch(epoch_of["anvil"], folder)
    await trade(epoch)
    await clear(epoch)
    await use(epoch)
    epoch_of["epoch"] = epoch
    epoch_of["facts"] = await read_facts(epoch)
    epoch_of["prices"] = await read_prices(epoch)
    await epoch.market.close()


async def read_facts(epoch: Epoch) -> dict[str, Any]:
    """What the chain says at the end."""
    auction, market = epoch.market.auction, epoch.market
    named = {
        "honest": HONEST,
        "omitting": OMITTING,
        "disorderly": DISORDERLY,
        "watcher": WATCHER,
        "treasury": TREASURY,
        "hidden": trader("application", TRADERS),
    }
    payees = {*named.values(), *(epoch.payer(each) for each in (*epoch.orders, *epoch.hidden))}
    claimable = {each: await auction.claimable(each) for each in payees}
    clock = await market.sessions.clock()
    return {
        **{name: claimable[each] for name, each in named.items()},
        "claimable": claimable,
        "balance": await epoch.balance(),
        "round": await auction.round(epoch.service, EPOCH),
        "roster": await market.sessions.roster(epoch.service, EPOCH),
        "windows": await auction.windows(EPOCH),
        "computed": compute_windows(clock, EPOCH),
        "states": [(await auction.order(each.key)).state for each in epoch.orders],
        "stranger": await market.sessions.allotment(
            SessionKey(WATCHER, GATEWAY, epoch.service, FIRST_SESSION)
        ),
    }


async def read_prices(epoch: Epoch) -> list[int]:
    """The price of the next round that has an order, and of the one after it."""
    auction, following = epoch.market.auction, EPOCH + 3
    ask = epoch.side(OrderSide.ASK)[0]
    late = replace(ask, key=replace(ask.key, epoch=following))
    await epoch.send((epoch.payer(ask), auction.commit(late, TERMS.order_bond)))
    return [(await auction.round(epoch.service, each)).price for each in (following, following + 1)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    anvil = start_anvil("--gas-limit", "3000000000")
    facts: dict[str, Any] = {"anvil": anvil}
    try:
        anyio.run(play, facts, tmp_path_factory.mktemp("epoch"))
        yield facts
    finally:
        anvil.stop()


def test_the_roster_is_what_the_orders_clear_to(played: dict[str, Any]) -> None:
    epoch, facts = played["epoch"], played["facts"]
    sold = [
        RosterEntry(each.supplier, each.unit_price, each.units) for each in epoch.outcome.roster
    ]
    assert facts["roster"] == weigh_by_cost(sold)
    assert len(sold) > 10
    found = facts["round"]
    assert (found.asks, found.bids) == (TRADERS, TRADERS)
    assert (found.procured, found.paid) == (epoch.outcome.procured, epoch.outcome.paid)
    assert found.procured == found.demand < found.supply
    assert facts["windows"] == facts["computed"]


def test_every_claim_is_paid_at_the_clearing_price(played: dict[str, Any]) -> None:
    epoch = played["epoch"]
    prices = {each.supplier: each.unit_price for each in epoch.outcome.roster}
    assert {each.session.application for each, _, _ in epoch.claims} == {
        each.key.trader for each in epoch.side(OrderSide.BID)
    }
    assert len(epoch.claims) == len(epoch.paid) > 2 * TRADERS
    for claim, work, supplier in epoch.claims:
        assert claim.price == prices[supplier]
        assert claim.value == work.trie.root.sum * prices[supplier] // 10**6
        paid = epoch.paid[claim.id]
        shares = paid.supplier_share + paid.source_share + paid.gateway_share + paid.protocol_share
        assert shares == claim.value
    spent = sum(claim.value for claim, _, _ in epoch.claims)
    assert 0 < spent <= epoch.outcome.paid


def test_buyers_pay_the_posted_price_and_nobody_a_deficit(played: dict[str, Any]) -> None:
    epoch, facts = played["epoch"], played["facts"]
    fills = {each.application: each for each in epoch.outcome.fills}
    for order in epoch.side(OrderSide.BID):
        fill = fills[order.key.trader]
        assert fill.units == order.terms.quantity
        assert facts["claimable"][fill.application] == fill.units * PRICE - fill.charge
    charges = sum(each.charge for each in epoch.outcome.fills)
    assert charges >= epoch.outcome.procured * (PRICE - reserve_at(PRICE, TERMS.fee_bps))
    hidden = 2 * TERMS.order_bond
    bonds = 2 * (TERMS.clearing_bond - TERMS.clearing_bond // 2)
    reward = charges * TERMS.clearer_bps // BPS
    assert facts["treasury"] == charges - reward + hidden + bonds
    assert facts["honest"] == TERMS.clearing_bond + TERMS.leaf_stake + reward


def test_frauds_are_defeated_and_their_bonds_lost(played: dict[str, Any]) -> None:
    facts = played["facts"]
    assert facts["omitting"] == facts["disorderly"] == 0
    assert facts["watcher"] == 2 * (TERMS.clearing_bond // 2) + TERMS.leaf_stake


def test_who_does_not_reveal_pays_and_blocks_nobody(played: dict[str, Any]) -> None:
    epoch, facts = played["epoch"], played["facts"]
    (bid,) = (each for each in epoch.hidden if each.key.side is OrderSide.BID)
    put_down = max(TERMS.order_bond, PRICE * bid.terms.quantity)
    assert facts["hidden"] == put_down - TERMS.order_bond
    asks = [OrderState.OPEN] * TRADERS
    assert [
        state
        for state, each in zip(facts["states"], epoch.orders, strict=True)
        if each.key.side is OrderSide.ASK
    ] == asks


def test_every_deposit_can_be_collected(played: dict[str, Any]) -> None:
    assert sum(played["facts"]["claimable"].values()) == played["facts"]["balance"]


def test_who_was_not_allotted_is_not_served_and_the_price_moves_on(played: dict[str, Any]) -> None:
    assert played["facts"]["stranger"] == 0
    # More was offered than wanted: the round after the next is cheaper.
    first, second = played["prices"]
    assert second < first == PRICE
