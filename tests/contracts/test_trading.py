"""Traders and a clearer that go through rounds by themselves, and what is due when."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts import (
    AuctionTerms,
    AuctionWindows,
    ContractError,
    OrderKey,
    OrderSide,
    OrderState,
    OrderTerms,
    SealedOrder,
    compute_windows,
)
from contracts.auction_values import backed_quantity
from contracts.trading import (
    Deed,
    SealedOrders,
    Stage,
    due_clearing,
    due_deed,
)
from pricing import clear_epoch, reserve_at
from relay_mining import RosterEntry, SessionKey, keccak, weigh_by_cost
from tests.contracts.anvil import Anvil, start_anvil
from tests.contracts.trading_rounds import (
    APPLICATIONS,
    ASKS,
    BIDS,
    GATEWAY,
    OWNERS,
    PRICE,
    SOURCE,
    STAKE,
    STRIDE,
    open_market,
    sender_of,
)
from tests.contracts.world import PARAMS, address

WINDOWS = AuctionWindows(100, 120, 140, 145, 150, 155, 160, 165, 170)


@pytest.mark.parametrize(
    ("block", "state", "due"),
    [
        (99, OrderState.NONE, None),
        (100, OrderState.NONE, Deed.COMMIT),
        (119, OrderState.NONE, Deed.COMMIT),
        (120, OrderState.NONE, None),
        (119, OrderState.SEALED, None),
        (120, OrderState.SEALED, Deed.REVEAL),
        (139, OrderState.SEALED, Deed.REVEAL),
        (140, OrderState.SEALED, Deed.FORFEIT),
        (500, OrderState.SEALED, Deed.FORFEIT),
        (169, OrderState.OPEN, None),
        (170, OrderState.OPEN, Deed.SETTLE),
        (500, OrderState.CLOSED, None),
    ],
)
def test_what_is_due_of_an_order(block: int, state: OrderState, due: Deed | None) -> None:
    assert due_deed(OrderSide.BID, WINDOWS, block, state, False) is due
    of_ask = None if due is Deed.SETTLE else due
    assert due_deed(OrderSide.ASK, WINDOWS, block, state, False) is of_ask


def test_a_bid_is_settled_as_soon_as_its_round_is_cleared() -> None:
    assert due_deed(OrderSide.BID, WINDOWS, 166, OrderState.OPEN, True) is Deed.SETTLE


@pytest.mark.parametrize(
    ("block", "is_submitted", "is_cleared", "due"),
    [
        (144, False, False, None),
        (145, False, False, Stage.SUBMIT),
        (149, False, False, Stage.SUBMIT),
        (150, False, False, None),
        (149, False, True, None),
        (150, True, False, Stage.DEFEND),
        (164, True, False, Stage.DEFEND),
        (165, True, False, Stage.PUBLISH),
        (169, True, False, Stage.PUBLISH),
        (170, True, False, Stage.RELEASE),
        (166, True, True, Stage.RELEASE),
    ],
)
def test_what_is_due_of_a_clearing(
    block: int, is_submitted: bool, is_cleared: bool, due: Stage | None
) -> None:
    assert due_clearing(WINDOWS, block, is_submitted, is_cleared) is due


def test_sealed_orders_outlive_their_process_and_are_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "data" / "orders.json"
    orders = SealedOrders(path)
    made = [
        SealedOrder(OrderKey(keccak(b"s"), epoch, OrderSide.BID, SOURCE), BIDS[0], keccak(b"salt"))
        for epoch in (2, 3)
    ]
    for each in made:
        orders.keep(each)
    assert path.stat().st_mode & 0o077 == 0
    again = SealedOrders(path)
    assert [again.find(each.key) for each in made] == made
    again.forget_before(3)
    assert SealedOrders(path).find(made[0].key) is None
    assert SealedOrders(path).find(made[1].key) == made[1]
    assert [each.name for each in path.parent.iterdir()] == ["orders.json"]


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    running = start_anvil()
    yield running
    running.stop()


@pytest.mark.anvil
@pytest.mark.anyio
async def test_rounds_go_by_with_nobody_at_the_keyboard(anvil: Anvil, tmp_path: Path) -> None:
    rounds = await open_market(anvil, tmp_path)
    market, auction = rounds.market, rounds.market.auction
    epoch = rounds.clock.epoch_of(rounds.clock.session_at(anvil.height)) + 3
    await rounds.finish(epoch)

    found = await auction.round(rounds.service, epoch)
    assert (found.asks, found.bids, found.is_cleared) == (2, 2, True)
    seed = await auction.draw_seed(rounds.service, epoch)
    assert seed is not None
    book = await auction.book(rounds.service, epoch)
    terms: AuctionTerms = await auction.terms()
    outcome = clear_epoch(book, found.price, terms.fee_bps, seed)
    sold = [RosterEntry(each.supplier, each.unit_price, each.units) for each in outcome.roster]
    assert await market.sessions.roster(rounds.service, epoch) == weigh_by_cost(sold)
    assert found.procured == 8 < found.demand  # both suppliers sell out
    for side in OrderSide:
        for number in range(2):
            order = await auction.order(rounds.order_key(side, number, epoch))
            fills = [each for each in outcome.fills if each.application == order.payer]
            assert order.deposit == sum(each.charge for each in fills)
            assert order.state is (OrderState.CLOSED if side is OrderSide.BID else OrderState.OPEN)
    charges = {each.application: each for each in outcome.fills}
    for number, key in enumerate(APPLICATIONS):
        session = SessionKey(
            address(key), GATEWAY, rounds.service, epoch * rounds.clock.epoch_sessions
        )
        fill = charges.get(address(key))
        cap = fill.claims // rounds.clock.epoch_sessions if fill else 0
        assert await market.sessions.allotment(session) == cap
        assert await auction.claimable(address(key)) == 0, number  # collected as it came back
    earlier, later = [(await auction.round(rounds.service, epoch + each)).price for each in (1, 2)]
    assert later > earlier >= found.price  # more was asked for than there is
    assert found.charges == sum(each.charge for each in outcome.fills)
    cleared_by = rounds.clearer.sender.address
    before = await market.token.balance(cleared_by)
    await rounds.run_to(rounds.clock.start((epoch + 1) * rounds.clock.epoch_sessions) + STRIDE)
    assert (await auction.round(rounds.service, epoch)).charges == 0
    assert await market.token.balance(cleared_by) > before
    await market.close()


@pytest.mark.anvil
@pytest.mark.anyio
async def test_a_low_bid_puts_nothing_down_and_a_lost_order_costs_its_bond_only(
    anvil: Anvil, tmp_path: Path
) -> None:
    rounds = await open_market(anvil, tmp_path)
    auction = rounds.market.auction
    epoch = rounds.clock.epoch_of(rounds.clock.session_at(anvil.height)) + 3
    windows = compute_windows(rounds.clock, epoch)
    low = rounds.trader(OrderSide.BID, 0)
    low.wishes = {rounds.service: replace(BIDS[0], price=PRICE - 1)}
    forgetful = rounds.trader(OrderSide.BID, 1)
    anvil.mine_to(windows.commit_from)
    await asyncio.gather(low.step(), forgetful.step())
    assert (await auction.order(rounds.order_key(OrderSide.BID, 0, epoch))).state is OrderState.NONE
    sealed = await auction.order(rounds.order_key(OrderSide.BID, 1, epoch))
    assert sealed.state is OrderState.SEALED
    assert sealed.deposit == PRICE * BIDS[1].quantity

    (tmp_path / "BID-1.json").unlink()
    anvil.mine_to(windows.reveal_from)
    await rounds.trader(OrderSide.BID, 1).step()  # it says so, and goes on
    before = await rounds.market.token.balance(address(APPLICATIONS[1]))
    anvil.mine_to(windows.reveal_end)
    await rounds.trader(OrderSide.BID, 1).step()
    after = await rounds.market.token.balance(address(APPLICATIONS[1]))
    assert after - before == sealed.deposit - (await auction.terms()).order_bond
    await rounds.market.close()


@pytest.mark.anvil
@pytest.mark.anyio
async def test_an_ask_is_no_more_than_its_stake_backs(anvil: Anvil, tmp_path: Path) -> None:
    rounds = await open_market(anvil, tmp_path)
    market, auction = rounds.market, rounds.market.auction
    epoch = rounds.clock.epoch_of(rounds.clock.session_at(anvil.height)) + 3
    windows = compute_windows(rounds.clock, epoch)
    greedy = rounds.trader(OrderSide.ASK, 0)
    greedy.wishes = {rounds.service: replace(ASKS[0], quantity=2**25 - 1)}
    reserve = reserve_at(PRICE, (await auction.terms()).fee_bps)
    most = backed_quantity(STAKE, reserve, rounds.clock, PARAMS.bond_ratio_max)
    key = rounds.order_key(OrderSide.ASK, 1, epoch)
    beyond = SealedOrder(key, OrderTerms(1, most + 1), bytes(32))

    anvil.mine_to(windows.commit_from)
    await greedy.step()
    other = sender_of(market.chain, OWNERS[1])
    bond = (await auction.terms()).order_bond
    await other.send(market.token.approve(market.book.auction, bond))
    await other.send(auction.commit(beyond, bond))
    anvil.mine_to(windows.reveal_from)
    await greedy.step()
    assert (await auction.round(rounds.service, epoch)).supply == most
    with pytest.raises(ContractError, match="Registry_StakeTooLow"):
        await other.send(auction.reveal(beyond))
    await market.close()
