"""What a key or a project may take, decided purely: rates a minute, money a day and a month.

A limit a minute is a bucket that holds a minute's worth and drains evenly, so that any stretch of
`t` minutes sees at most `1 + t` minutes' worth. What a request may need at most is taken before it
runs, and what it did not need is given back when it ends. Times are given: nanoseconds of a clock
that never goes back for the buckets, Unix seconds for the budgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from gateway.access.budgets import MILLIONTHS, Spending
from relay_mining import value_class

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
IN_FLIGHT_RETRY_S = 1
"""When to ask again where only requests in flight stand in the way: nobody knows better."""


class Limit(Enum):
    """What a refusal is about."""

    REQUESTS = "requests per minute"
    TOKENS = "tokens per minute"
    DAILY_BUDGET = "daily budget"
    MONTHLY_BUDGET = "monthly budget"

    @property
    def is_budget(self) -> bool:
        """Whether it is about money."""
        return self in (Limit.DAILY_BUDGET, Limit.MONTHLY_BUDGET)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a key or a project; None is none. Budgets are in token base units."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    daily_budget: int | None = None
    monthly_budget: int | None = None


@dataclass(slots=True)
class Bucket:
    """What was taken of a minute's worth and has not drained yet; exact."""

    limit: int
    """How much a minute."""
    at_ns: int
    debt: int = 0
    """Amounts times the nanoseconds of a minute."""

    def wait_ns(self, amount: int, at_ns: int) -> int | None:
        """Nanoseconds, rounded up, until so much can be taken; None where it never can be."""
        self.drain(at_ns)
        if amount > self.limit:
            return None
        over = self.debt - (self.limit - amount) * MINUTE_NS
        return max(0, -(-over // self.limit))

    def take(self, amount: int) -> None:
        """Take, whether it is there or not."""
        self.debt += amount * MINUTE_NS

    def correct(self, taken: int, used: int, taken_ns: int, at_ns: int) -> None:
        """Turn what was taken at `taken_ns` into what was used of it.

        Given back is the part that cannot have drained since, for what has is there already.
        """
        self.drain(at_ns)
        unused = (taken - used) * MINUTE_NS
        if unused > 0:
            unused = min(self.debt, max(0, unused - self.limit * (at_ns - taken_ns)))
        self.debt -= unused

    def remaining(self) -> int:
        """What can be taken as of the last drain, rounded down."""
        return max(0, (self.limit * MINUTE_NS - self.debt) // MINUTE_NS)

    def full_in_ns(self) -> int:
        """Nanoseconds, rounded up, from the last drain until all of it can be taken again."""
        return -(-self.debt // self.limit)

    def drain(self, at_ns: int) -> None:
        """Let time pass."""
        self.debt = max(0, self.debt - self.limit * (at_ns - self.at_ns))
        self.at_ns = at_ns


@value_class
class Demand:
    """The most a request may take."""

    tokens: int
    cost: int
    """Millionths of a token base unit, at the dearest member's price."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not run now."""

    limit: Limit
    allowed: int
    asked: int
    """Of the same unit; of a budget in token base units, rounded up."""
    retry_after_s: int | None
    """When it may, if nothing else is asked; None where it never may."""
    whose: str = "key"

    @property
    def wait(self) -> float:
        """How long it stands in the way, in seconds."""
        return float("inf") if self.retry_after_s is None else self.retry_after_s


@value_class
class Grant:
    """Leave to run, to be given back to the limiter when the request has ended."""

    limiter: "Limiter"
    demand: Demand
    at_ns: int
    tokens: Bucket | None
    """The bucket that the tokens were taken from."""


@dataclass(slots=True)
class Limiter:
    """The limits of one key, or of one project, and where it stands."""

    spending: Spending
    whose: str = "key"
    limits: Limits = field(default_factory=Limits)
    requests: Bucket | None = None
    tokens: Bucket | None = None
    name: str = ""
    """The id of the key or the project."""
    share_of: "Limiter | None" = None
    """The one that it is a replica's share of, over the same spending."""

    def set(self, limits: Limits, at_ns: int) -> None:
        """Change the limits; what was taken stays taken."""
        self.limits = limits
        self.requests = _set(self.requests, limits.requests_per_minute, at_ns)
        self.tokens = _set(self.tokens, limits.tokens_per_minute, at_ns)

    def refusals(self, demand: Demand, at_ns: int, now: int) -> list[Refusal]:
        """All that stands in the way of taking what a request may need."""
        return [
            *self._refuse(Limit.REQUESTS, self.requests, 1, at_ns),
            *self._refuse(Limit.TOKENS, self.tokens, demand.tokens, at_ns),
            *self._over_budget(demand.cost, now),
        ]

    def take(self, demand: Demand, at_ns: int) -> Grant:
        """Take all that a request may need, whether it is there or not."""
        if self.requests is not None:
            self.requests.take(1)
        if self.tokens is not None:
            self.tokens.take(demand.tokens)
        self.spending.reserved += demand.cost
        return Grant(self, demand, at_ns, self.tokens)

    def release(self, grant: Grant, used: int, at_ns: int) -> None:
        """End a request: the tokens that its tries used stay taken, the rest is given back."""
        if grant.tokens is not None:
            grant.tokens.correct(grant.demand.tokens, used, grant.at_ns, at_ns)
        self.spending.reserved -= grant.demand.cost

    def _over_budget(self, cost: int, now: int) -> list[Refusal]:
        limits, spending = self.limits, self.spending
        spending.turn(now)
        found = []
        for limit, budget, spent, ends in (
            (Limit.DAILY_BUDGET, limits.daily_budget, spending.today, spending.day_ends),
            (Limit.MONTHLY_BUDGET, limits.monthly_budget, spending.this_month, spending.month_ends),
        ):
            if budget is None or spent + spending.reserved + cost <= budget * MILLIONTHS:
                continue
            retry: int | None = ends - now
            if cost > budget * MILLIONTHS:
                retry = None
            elif spent + cost <= budget * MILLIONTHS:
                retry = IN_FLIGHT_RETRY_S
            found.append(Refusal(limit, budget, -(-cost // MILLIONTHS), retry, self.whose))
        return found

    def _refuse(
        self, limit: Limit, bucket: Bucket | None, amount: int, at_ns: int
    ) -> list[Refusal]:
        if bucket is None:
            return []
        wait = bucket.wait_ns(amount, at_ns)
        if wait == 0:
            return []
        retry = None if wait is None else -(-wait // SECOND_NS)
        return [Refusal(limit, bucket.limit, amount, retry, self.whose)]


def admit_all(
    limiters: Sequence[Limiter], demand: Demand, at_ns: int, now: int
) -> tuple[Grant, ...] | Refusal:
    """Take all that a request may need from each limiter, or from none.

    The refusal is the longest there is.
    """
    refusals = [each for one in limiters for each in one.refusals(demand, at_ns, now)]
    if refusals:
        return max(refusals, key=lambda each: each.wait)
    return tuple(each.take(demand, at_ns) for each in limiters)


def _set(bucket: Bucket | None, limit: int | None, at_ns: int) -> Bucket | None:
    if limit is None:
        return None
    if bucket is None:
        return Bucket(limit, at_ns)
    bucket.drain(at_ns)
    bucket.limit = limit
    return bucket
