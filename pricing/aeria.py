"""AERIA: the auction of edge inference, in three variants: each keeps what another gives up.

Users are admitted by density; the revenue that their values above cost allow is estimated by
consensus and raised by cost sharing. No auction is truthful, envy-free and constant-competitive at
once (Goldberg and Hartline 2003), hence E, T and P. All are individually rational and never sell
below cost or beyond the capacity.

Source: the techniques of S. Li, J. Hu, G. Min, H. Huang, J. Huang, "Dynamic Pricing for On-Demand
DNN Inference in the Edge-AI Market" (arXiv 2503.04521): randomized consensus estimates and cost
sharing over planned inference. The construction and its proofs here are this project's own.
"""

from collections.abc import Sequence
from fractions import Fraction

from pricing.consensus import Ladder
from pricing.cost_sharing import best_revenue, share_cost
from pricing.edge_market import EdgeOffer, sell_edge
from pricing.market import Book, Order, Outcome


def aeria_envy_free(book: Book, offer: EdgeOffer, ladder: Ladder) -> Outcome:
    """AERIA-E: one unit price for all, from everybody's revenue.

    Always envy-free. Truthful in value for every user without whom the estimate is the same; for
    all with probability at least `1 - log_c(max_i F / F_-i)`, `c` the base of the ladder.
    """

    def unit_prices(orders: Sequence[Order]) -> list[Fraction | None]:
        return [share_cost(orders, _estimate(orders, ladder))] * len(orders)

    return sell_edge(book, offer, unit_prices)


def aeria_truthful(book: Book, offer: EdgeOffer, ladder: Ladder) -> Outcome:
    """AERIA-T: each user shares in raising an estimate that comes from the others only.

    Always truthful in value. Envy-free with the probability that AERIA-E is truthful. Not truthful
    in demand: a wish for more can find a lower price.
    """

    def unit_prices(orders: Sequence[Order]) -> list[Fraction | None]:
        return [share_cost(orders, _estimate(others, ladder)) for others in _each_without(orders)]

    return sell_edge(book, offer, unit_prices)


def aeria_posted(book: Book, offer: EdgeOffer, ladder: Ladder) -> Outcome:
    """AERIA-P: each user is offered the unit price at which the others alone raise their estimate.

    Always truthful, in value and in demand; two users may pay different unit prices and envy.
    """

    def unit_prices(orders: Sequence[Order]) -> list[Fraction | None]:
        return [share_cost(others, _estimate(others, ladder)) for others in _each_without(orders)]

    return sell_edge(book, offer, unit_prices)


def _estimate(orders: Sequence[Order], ladder: Ladder) -> int:
    return ladder.round_down(best_revenue(orders))


def _each_without(orders: Sequence[Order]) -> list[list[Order]]:
    """For each order, all the others."""
    return [[*orders[:place], *orders[place + 1 :]] for place in range(len(orders))]
