"""Limits that several replicas keep together: what one sees of the others, decided purely.

Each replica answers for what it spent and reserved itself; what all have is the sum. A replica
that hears nothing of the others holds itself to its share of what was left when it last did.
"""

from dataclasses import replace

from gateway.access.budgets import MILLIONTHS
from gateway.access.limits import Bucket, Limiter, Limits
from relay_mining import value_class


@value_class
class Holdings:
    """What a replica, or several, have of one limiter, in millionths of a token base unit."""

    today: int = 0
    this_month: int = 0
    reserved: int = 0


@value_class
class Debts:
    """What the buckets of one limiter hold, all replicas' takings together, as `Bucket.debt`."""

    requests: int
    tokens: int


def see_all(
    limiter: Limiter, mine: Holdings, others: Holdings, debts: Debts, at_ns: int
) -> Limiter:
    """A limiter that has taken what all replicas have, to be asked what stands in the way."""
    spending = replace(
        limiter.spending,
        today=mine.today + others.today,
        this_month=mine.this_month + others.this_month,
        reserved=mine.reserved + others.reserved,
    )
    return Limiter(
        spending,
        limiter.whose,
        limiter.limits,
        _at(limiter.requests, debts.requests, at_ns),
        _at(limiter.tokens, debts.tokens, at_ns),
    )


def mirror(limiter: Limiter, debts: Debts, at_ns: int) -> None:
    """Have a limiter's own buckets show what all replicas took."""
    limiter.requests = _at(limiter.requests, debts.requests, at_ns)
    limiter.tokens = _at(limiter.tokens, debts.tokens, at_ns)


def share_of(limiter: Limiter, others: Holdings, replicas: int, at_ns: int) -> Limiter:
    """A limiter for one of `replicas` alone, over the same spending.

    Of what a budget had left it has its share, rounded down; of a rate as much, but at least one.
    If every replica goes by its own, their sum stays within the budget as it was last heard of.
    """
    mine, limits = limiter.spending, limiter.limits

    def budget(whole: int | None, spent: int, elsewhere: int) -> int | None:
        if whole is None:
            return None
        held = spent + mine.reserved
        room = max(0, whole * MILLIONTHS - held - elsewhere - others.reserved)
        return (held + room // replicas) // MILLIONTHS

    def rate(whole: int | None) -> int | None:
        return None if whole is None else max(1, whole // replicas)

    alone = Limiter(mine, limiter.whose, name=limiter.name, share_of=limiter)
    alone.set(
        Limits(
            rate(limits.requests_per_minute),
            rate(limits.tokens_per_minute),
            budget(limits.daily_budget, mine.today, others.today),
            budget(limits.monthly_budget, mine.this_month, others.this_month),
        ),
        at_ns,
    )
    for own, whole in ((alone.requests, limiter.requests), (alone.tokens, limiter.tokens)):
        if own is not None and whole is not None:
            whole.drain(at_ns)
            own.debt = whole.debt // replicas
    return alone


def _at(bucket: Bucket | None, debt: int, at_ns: int) -> Bucket | None:
    return None if bucket is None else Bucket(bucket.limit, at_ns, debt)
