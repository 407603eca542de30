"""The family of lies that is tried: another price, another quantity or both, for a while."""

from collections.abc import Iterator

from pricing import Order

PRICES = ((1, 2), (4, 5), (9, 10), (1, 1), (11, 10), (5, 4), (2, 1))
"""Of the true price."""
QUANTITIES = ((1, 4), (1, 2), (3, 4), (1, 1), (5, 4), (2, 1))
"""Of what is truly needed, or there."""


def lies(truth: Order, epochs: int) -> Iterator[list[Order]]:
    """Every lie told in the first epoch, in the first half, and in all epochs."""
    for up, down in PRICES:
        for more, less in QUANTITIES:
            price, quantity = truth.price * up // down, max(1, truth.quantity * more // less)
            said = Order(truth.trader, price, quantity)
            if said == truth:
                continue
            for length in sorted({1, -(-epochs // 2), epochs}):
                yield [said] * length + [truth] * (epochs - length)
