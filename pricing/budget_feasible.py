"""Buying as many equal jobs as a budget allows: Singer's proportional share.

Source: Y. Singer, "Budget Feasible Mechanisms", FOCS 2010.
"""

from pricing.market import Book, Outcome, fills_at, require_unit_lots


def budget_feasible(book: Book, budget: int) -> Outcome:
    """One job from each of the `k` cheapest sellers, `k` the most with `cost_k <= budget / k`.

    Each is paid the smaller of `budget / k`, rounded down, and the first losing cost: the most it
    could have asked. Truthful in cost, never beyond the budget, and at least half as many jobs as
    if the costs were known. Ties are broken by identity. Asks for one job (InvalidBookError).
    """
    require_unit_lots(book)
    ranked = sorted(book.asks, key=lambda ask: (ask.price, ask.trader))
    count = max((k for k, ask in enumerate(ranked, 1) if k * ask.price <= budget), default=0)
    if count == 0:
        return Outcome()
    price = budget // count
    if len(ranked) > count:
        price = min(price, ranked[count].price)
    return Outcome(sold=fills_at(price, ((ask.trader, 1) for ask in ranked[:count])))
