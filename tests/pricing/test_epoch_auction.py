"""The epoch auction keeps P2V's promises with a fee, and a few leaves prove what it clears to."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from pricing import (
    PRICE_MAX,
    QUANTITY_MAX,
    Balance,
    Book,
    ClearingFault,
    ClearingProof,
    ClearingTrees,
    InvalidClearingError,
    Leaf,
    Node,
    Opening,
    Order,
    Sibling,
    SortedSumTree,
    Sums,
    accepted,
    accepted_balance,
    balance_at,
    bid_leaf,
    clear_epoch,
    next_posted_price,
    posted_price_vcg,
    reserve_at,
    roster,
    verify_clearing,
    verify_place,
)

SEED = b"\x17" * 32
FEE_BPS = 100


def address(side: int, index: int) -> bytes:
    return bytes([side]) + index.to_bytes(19, "big")


def random_round(rng: Random, most: int = 6) -> tuple[Book, int]:
    """A book and a posted price; ties, no orders and one order are common."""
    price = rng.choice((1, 2, 100, 150, 10_000, PRICE_MAX))
    near = (max(1, price - price // 10), max(1, reserve_at(price, FEE_BPS)), price)

    def orders(side: int) -> tuple[Order, ...]:
        return tuple(
            Order(
                address(side, rng.getrandbits(152)),
                rng.choice((*near, rng.randint(1, price))),
                rng.choice((1, 2, 3, rng.randint(1, 20), QUANTITY_MAX)),
            )
            for _ in range(rng.choice((0, 1, 2, rng.randint(0, most))))
        )

    return Book(orders(1), orders(2)), price


def rounds(count: int) -> Iterator[tuple[Book, int]]:
    rng = Random(5)
    return (random_round(rng) for _ in range(count))


def asks_of(book: Book, price: int) -> dict[bytes, Order]:
    return {ask.trader: ask for ask in accepted(book, price, FEE_BPS).asks}


def test_without_a_fee_it_is_p2v() -> None:
    for book, price in rounds(300):
        outcome = clear_epoch(book, price, 0, SEED)
        spot = posted_price_vcg(book, price, SEED)
        assert set(outcome.roster) == set(roster(spot))
        assert {each.application: each.units for each in outcome.fills} == {
            each.trader: each.units for each in spot.bought
        }


def test_buyers_pay_the_price_suppliers_at_most_the_reserve_and_the_fee_is_left() -> None:
    for book, price in rounds(300):
        outcome = clear_epoch(book, price, FEE_BPS, SEED)
        reserve = reserve_at(price, FEE_BPS)
        costs = {ask.trader: ask.price for ask in book.asks}
        values = {bid.trader: bid for bid in book.bids}
        for line in outcome.roster:
            assert costs[line.supplier] <= line.unit_price <= reserve
        for fill in outcome.fills:
            assert fill.charge + fill.claims == fill.units * price
            assert fill.units * price <= values[fill.application].price * fill.units
            assert fill.charge >= fill.units * (price - reserve)
        assert sum(fill.units for fill in outcome.fills) == outcome.procured
        assert sum(fill.claims for fill in outcome.fills) <= outcome.paid
        balance = balance_at(accepted(book, price, FEE_BPS), price)
        assert outcome.procured == min(balance.demand, balance.supply)


def test_a_few_leaves_prove_what_it_clears_to() -> None:
    for book, price in rounds(300):
        trees = ClearingTrees.build(book, price, FEE_BPS, SEED)
        proof = trees.prove()
        if not proof.sales:
            assert clear_epoch(book, price, FEE_BPS, SEED).roster == ()
            continue
        proved = verify_clearing(trees.procurement, asks_of(book, price), proof)
        assert proved == clear_epoch(book, price, FEE_BPS, SEED).roster
        assert len(proof.covers) <= len(proof.sales) + 1


def test_bids_stand_where_they_are_served() -> None:
    for book, price in rounds(200):
        trees = ClearingTrees.build(book, price, FEE_BPS, SEED)
        outcome = clear_epoch(book, price, FEE_BPS, SEED)
        fills = {each.application: each.units for each in outcome.fills}
        for bid in accepted(book, price, FEE_BPS).bids:
            opening = trees.open_bid(bid.trader)
            before = verify_place(trees.bids.root, bid_leaf(SEED, bid), opening).units
            served = max(0, min(bid.quantity, outcome.procured - before))
            assert served == fills.get(bid.trader, 0)


def a_round() -> tuple[Book, int, ClearingTrees, ClearingProof]:
    asks = tuple(Order(address(2, index), 10 * index + 10, 4) for index in range(5))
    book = Book((Order(address(1, 0), 100, 7), Order(address(1, 1), 100, 3)), asks)
    trees = ClearingTrees.build(book, 100, FEE_BPS, SEED)
    return book, 100, trees, trees.prove()


def fault_of(proof: ClearingProof) -> ClearingFault:
    book, price, trees, _ = a_round()
    with pytest.raises(InvalidClearingError) as caught:
        verify_clearing(trees.procurement, asks_of(book, price), proof)
    return caught.value.fault


def test_a_proof_that_is_not_the_clearing_is_refused() -> None:
    _, _, trees, good = a_round()
    dear = address(2, 4)
    spare = replace(good.sales[0], supplier=dear, opening=trees.open_ask(dear))
    assert fault_of(replace(good, sales=good.sales[1:])) is ClearingFault.WRONG_SALE_COUNT
    assert fault_of(replace(good, sales=good.sales[::-1])) is ClearingFault.SALE_OUT_OF_ORDER
    assert fault_of(replace(good, sales=(*good.sales[:-1], spare))) is ClearingFault.NOT_SOLD
    elsewhere = replace(good.sales[0], cover=0)
    assert fault_of(replace(good, sales=(elsewhere, *good.sales[1:]))) is ClearingFault.NOT_COVERED
    beyond = replace(good.sales[0], cover=len(good.covers))
    assert fault_of(replace(good, sales=(beyond, *good.sales[1:]))) is ClearingFault.NOT_COVERED
    assert fault_of(replace(good, covers=())) is ClearingFault.NOT_COVERED
    moved = replace(good.sales[0], opening=good.sales[1].opening)
    assert fault_of(replace(good, sales=(moved, *good.sales[1:]))) is ClearingFault.ROOT_MISMATCH


def test_no_tree_makes_a_deficit() -> None:
    """A tree in disorder proves payments, but none above the reserve or below an ask."""
    rng = Random(9)
    outcomes = set()
    for _ in range(300):
        book, price = random_round(rng, most=8)
        traded = accepted(book, price, FEE_BPS)
        asks = rng.sample(traded.asks, len(traded.asks))
        trees = ClearingTrees(asks, traded.bids, reserve_at(price, FEE_BPS), SEED)
        try:
            lines = verify_clearing(trees.procurement, asks_of(book, price), trees.prove())
        except InvalidClearingError as error:
            outcomes.add(error.fault)
            continue
        outcomes.add(None)
        costs = {ask.trader: ask.price for ask in book.asks}
        for line in lines:
            assert costs[line.supplier] <= line.unit_price <= reserve_at(price, FEE_BPS)
    assert outcomes == {None, ClearingFault.PRICE_OUT_OF_RANGE, ClearingFault.NOTHING_SOLD}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_every_leaf_of_a_tree_opens_where_it_stands(count: int) -> None:
    leaves = [Leaf(bytes([each]) * 32, each + 1, 3 * each) for each in range(count)]
    tree = SortedSumTree(leaves)
    before = Sums()
    for position, leaf in enumerate(leaves):
        assert verify_place(tree.root, leaf, tree.open(position)) == before
        before += leaf.sums
    assert tree.root.sums == before
    with pytest.raises(IndexError):
        tree.open(count)


def test_an_opening_that_leads_elsewhere_is_refused() -> None:
    leaves = [Leaf(bytes([each]) * 32, 2, 5) for each in range(4)]
    tree = SortedSumTree(leaves)
    good = tree.open(1)

    def fault(opening: Opening, root: Node = tree.root) -> ClearingFault:
        with pytest.raises(InvalidClearingError) as caught:
            verify_place(root, leaves[1], opening)
        return caught.value.fault

    first = good.siblings[0]
    assert fault(replace(good, lefts=good.lefts ^ 1)) is ClearingFault.ROOT_MISMATCH
    assert fault(replace(good, siblings=good.siblings[:1])) is ClearingFault.ROOT_MISMATCH
    wide = replace(good, siblings=(Sibling(first.digest, 2**224), *good.siblings[1:]))
    assert fault(wide) is ClearingFault.SUMS_OUT_OF_RANGE
    deep = replace(good, siblings=(first,) * 33)
    assert fault(deep) is ClearingFault.TOO_DEEP
    light = replace(tree.root, sums=replace(tree.root.sums, units=7))
    assert fault(good, light) is ClearingFault.ROOT_MISMATCH


def test_an_empty_round_clears_to_nothing() -> None:
    trees = ClearingTrees.build(Book(), 5, FEE_BPS, SEED)
    assert trees.asks.root == Node()
    with pytest.raises(InvalidClearingError) as caught:
        verify_clearing(trees.procurement, {}, trees.prove())
    assert caught.value.fault is ClearingFault.NOTHING_SOLD
    assert clear_epoch(Book(), 5, FEE_BPS, SEED).roster == ()


def test_the_price_steps_by_what_the_fee_allows() -> None:
    def moved(demand: int, supply: int, price: int = 10_000) -> int:
        return next_posted_price(Balance(demand, supply), price, FEE_BPS)

    # 10,000 * 1 % / 2 * 5 / 15, rounded down.
    assert moved(15, 10) == 10_016
    assert moved(10, 15) == 9_984
    assert moved(10, 10) == moved(0, 0) == 10_000
    # Beyond twice the other side nothing counts, not even where that is empty.
    assert moved(20, 10) == moved(10**9, 10) == moved(1, 0) == 10_025
    assert moved(10, 20) == moved(10, 10**9) == moved(0, 1) == 9_975
    assert moved(2, 1, PRICE_MAX) == PRICE_MAX
    assert moved(1, 2, 1) == 1


def test_a_round_that_nobody_cleared_moves_no_price_unless_it_could_not_be() -> None:
    def abandoned(demand: int, supply: int) -> int:
        return next_posted_price(Balance(demand, supply), 10_000, FEE_BPS, is_cleared=False)

    assert abandoned(30, 10) == abandoned(10, 30) == 10_000
    assert abandoned(30, 0) == 10_025
    assert abandoned(0, 30) == 9_975


def test_orders_that_do_not_take_part_move_no_price() -> None:
    bids = (Order(address(1, 0), 100, 30), Order(address(1, 1), 99, 5))
    book = Book(bids, (Order(address(2, 0), 99, 10), Order(address(2, 1), 100, 7)))
    assert accepted_balance(book, 100, FEE_BPS) == Balance(30, 10)


def test_a_split_supplier_and_a_hidden_demand_gain_no_larger_step() -> None:
    """Of whatever volume one adds to a round at balance, the step gains no more than it costs.

    Its own is all of the supply, the worst case; of the demand in all, in a random order, it is
    filled and charged for its part.
    """
    price, supply = 10**9, 1_000
    for volume in (1, 10, 100, 500, 1_000, 10_000, 10**6):
        demand = supply + volume
        step = next_posted_price(Balance(demand, supply), price, FEE_BPS) - price
        charged = volume * supply // demand * price * FEE_BPS // 10_000
        assert step * supply <= charged + price  # to the rounding of one unit filled
