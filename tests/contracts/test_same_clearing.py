"""Python and Solidity agree on every leaf, roster, price and verdict of the epoch auction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from contracts import ContractError, OrderTerms
from contracts.auction_values import encode_opening
from pricing import (
    PRICE_MAX,
    QUANTITY_MAX,
    Book,
    ClearingFault,
    ClearingProof,
    ClearingTrees,
    Cover,
    InvalidClearingError,
    Leaf,
    Node,
    Opening,
    Order,
    Procurement,
    RosterLine,
    Sale,
    Sibling,
    SortedSumTree,
    Sums,
    accepted,
    accepted_balance,
    ask_leaf,
    bid_leaf,
    next_posted_price,
    reserve_at,
    verify_clearing,
    verify_place,
)
from relay_mining import keccak
from tests.contracts.cases import Draw, Harness, cases

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]

SEED = b"\x17" * 32


def draw_book(draw: Draw, price: int) -> Book:
    """No orders, one, ties and the largest numbers come up often."""
    near = (max(1, price - 1), price, min(price + 1, PRICE_MAX), max(1, price // 2))

    def orders(side: int, prices: Sequence[int], quantity_max: int) -> tuple[Order, ...]:
        traders = {bytes([side]) + draw.random.randbytes(19) for _ in range(draw.pick(0, 9))}
        return tuple(
            Order(each, draw.random.choice(prices), draw.pick(1, quantity_max))
            for each in sorted(traders)
        )

    most = draw.random.choice((1, 3, QUANTITY_MAX))
    cheap = (*near, draw.pick(1, price), draw.pick(1, price))
    return Book(
        orders(1, near, most), orders(2, cheap, max(1, draw.random.choice((most, 2 * most // 3))))
    )


async def roster_on_chain(
    harness: Harness, procurement: Procurement, asks: dict[bytes, Order], proof: ClearingProof
) -> tuple[RosterLine, ...] | str:
    """The contract's roster, or the name of its error."""
    sums = procurement.root.sums
    book = (
        procurement.root.digest,
        procurement.demand,
        procurement.reserve,
        sums.count,
        sums.units,
        sums.cost,
    )

    def terms(parts: Sequence[Cover] | Sequence[Sale]) -> list[tuple[Any, ...]]:
        orders = (asks[each.supplier] for each in parts)
        return [OrderTerms(each.price, each.quantity).encode() for each in orders]

    covers = [(each.supplier, encode_opening(each.opening)) for each in proof.covers]
    sales = [(each.supplier, each.cover, encode_opening(each.opening)) for each in proof.sales]
    try:
        found = await harness(
            "verifyClearing", book, covers, terms(proof.covers), sales, terms(proof.sales)
        )
    except ContractError as error:
        return error.name
    return tuple(RosterLine(*each) for each in found)


def roster_here(
    procurement: Procurement, asks: dict[bytes, Order], proof: ClearingProof
) -> tuple[RosterLine, ...] | str:
    try:
        return verify_clearing(procurement, asks, proof)
    except InvalidClearingError as error:
        return error.fault.value


def spoil(draw: Draw, trees: ClearingTrees, line: Sequence[Order]) -> ClearingProof:
    """The proof of the trees with one thing wrong."""
    proof = trees.prove()
    sales = proof.sales
    if not sales:
        return replace(proof, sales=(Sale(line[0].trader, 0, Opening()),) if line else ())
    dear = max(line, key=lambda ask: (ask.price, ask.trader)).trader
    instead = replace(sales[-1], supplier=dear, opening=trees.open_ask(dear))
    swapped = sorted((*sales[:-1], instead), key=lambda sale: sale.supplier)
    lies = (
        sales[1:],
        sales[::-1],
        (replace(sales[0], cover=len(proof.covers)), *sales[1:]),
        (replace(sales[0], opening=sales[-1].opening), *sales[1:]),
        (sales[-1],) * len(sales),
        tuple(swapped),
    )
    without = replace(proof, covers=proof.covers[1:])
    return draw.random.choice((without, *(replace(proof, sales=each) for each in lies)))


async def test_rosters_and_refusals(harness: Harness) -> None:
    seen = set()
    for draw in cases(120):
        price = draw.random.choice((1, 2, 1000, PRICE_MAX, draw.pick(1, PRICE_MAX)))
        book = draw_book(draw, price)
        fee_bps = draw.random.choice((1, 100, 9_999))
        traded = accepted(book, price, fee_bps)
        asks = {ask.trader: ask for ask in traded.asks}
        trees = ClearingTrees.build(book, price, fee_bps, SEED)
        line = draw.random.sample(traded.asks, len(traded.asks))
        shuffled = ClearingTrees(line, traded.bids, reserve_at(price, fee_bps), SEED)
        good = trees.prove()
        tried = [
            (trees, good),
            (trees, spoil(draw, trees, traded.asks)),
            (shuffled, shuffled.prove()),
            (shuffled, good),
        ]
        for each, proof in tried:
            ours = roster_here(each.procurement, asks, proof)
            assert await roster_on_chain(harness, each.procurement, asks, proof) == ours
            seen.add(ours if isinstance(ours, str) else "good")
    of_places = {
        each.value
        for each in (
            ClearingFault.TOO_DEEP, ClearingFault.SUMS_OUT_OF_RANGE, ClearingFault.WRONG_SHAPE,
        )
    }  # fmt: skip
    assert seen == {"good", *(each.value for each in ClearingFault)} - of_places


async def place_on_chain(harness: Harness, root: Node, leaf: Leaf, opening: Opening) -> Sums | str:
    sums = leaf.sums.encode()
    arguments = (root.digest, root.sums.encode(), leaf.key, sums, encode_opening(opening))
    try:
        return Sums(*await harness("verifyPlace", *arguments))
    except ContractError as error:
        return error.name


def place_here(root: Node, leaf: Leaf, opening: Opening) -> Sums | str:
    try:
        return verify_place(root, leaf, opening)
    except InvalidClearingError as error:
        return error.fault.value


async def test_places_in_trees(harness: Harness) -> None:
    seen = set()
    for draw in cases(20):
        leaves = [
            Leaf(draw.hash(), draw.pick(0, 2**60), draw.pick(0, 2**120))
            for _ in range(draw.pick(1, 12))
        ]
        tree = SortedSumTree(leaves)
        position = draw.pick(0, len(leaves) - 1)
        opening = tree.open(position)
        first = (opening.siblings or (Sibling(draw.hash(), 1 << 192),))[0]
        carried = replace(first, sums=2**224 - 1)
        # A lone leaf under a sibling whose units run over into its count.
        thin = Leaf(draw.hash(), 2**63)
        beside = Sibling(draw.hash(), 1 << 192 | 2**63 << 128)
        forged = _over(thin, beside)
        # Three leaves, the last two below one node: the one tree of three has the first two there.
        low, mid, high = (Leaf(draw.hash(), each) for each in (1, 2, 3))
        pair = SortedSumTree((mid, high)).root
        comb = _over(low, Sibling(pair.digest, pair.sums.encode()), is_left=False)
        up = Opening(0, (Sibling(pair.digest, pair.sums.encode()),))
        for root, leaf, shown in (
            (comb, low, up),
            (tree.root, leaves[position], opening),
            (tree.root, leaves[0], opening),
            (tree.root, leaves[position], replace(opening, lefts=opening.lefts ^ 1)),
            (tree.root, leaves[position], replace(opening, siblings=opening.siblings[1:])),
            (tree.root, leaves[position], Opening(0, (first,) * 33)),
            (tree.root, leaves[position], Opening(0, (replace(carried, sums=2**224),))),
            (tree.root, leaves[position], Opening(1, (carried,))),
            (forged, thin, Opening(1, (beside,))),
        ):
            ours = place_here(root, leaf, shown)
            assert await place_on_chain(harness, root, leaf, shown) == ours
            seen.add(ours if isinstance(ours, str) else "good")
    assert seen == {
        "good",
        *(each.value for each in ClearingFault if each.value.startswith("Tree_")),
    }


def _over(leaf: Leaf, sibling: Sibling, *, is_left: bool = True) -> Node:
    """The root of a leaf and its sibling, lanes running over included."""
    own = leaf.sums.encode()
    digest = keccak(b"\0" + leaf.key + own.to_bytes(32, "big"))
    parts = [(sibling.digest, sibling.sums), (digest, own)]
    ordered = parts if is_left else parts[::-1]
    inner = keccak(b"\1" + b"".join(each + sums.to_bytes(32, "big") for each, sums in ordered))
    total = sibling.sums + own
    return Node(inner, Sums(total >> 192, total >> 128 & (2**64 - 1), total & (2**128 - 1)))


async def test_keys_and_prices(harness: Harness) -> None:
    for draw in cases(30):
        trader = draw.address()
        price = draw.pick(1, PRICE_MAX)
        ask = Order(trader, price, draw.pick(1, QUANTITY_MAX))
        assert await harness("askKey", price, trader) == ask_leaf(ask).key
        assert await harness("bidKey", SEED, trader) == bid_leaf(SEED, ask).key
        fee_bps = draw.pick(1, 9_999)
        assert await harness("reserve", price, fee_bps) == reserve_at(price, fee_bps)
        book = draw_book(draw, price)
        traded = accepted(book, price, fee_bps)
        balance = accepted_balance(book, price, fee_bps)
        for is_cleared in (False, True):
            found = (
                price,
                balance.supply,
                balance.demand,
                len(traded.asks),
                len(traded.bids),
                0,
                0,
                is_cleared,
                0,
                bytes(20),
                0,
                bytes(32),
            )
            for moved in (price, draw.pick(1, PRICE_MAX)):
                ours = next_posted_price(balance, moved, fee_bps, is_cleared=is_cleared)
                assert await harness("nextPrice", found, moved, fee_bps) == ours
