"""The plans that were granted: each used once, by the key it was granted to, within its time."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from gateway.edge.quoting import Quote
from gateway.errors import KeyBusyError, NoSupplierError, PlanNotFoundError
from relay_mining import Address

PLANS_MAX = 4_096
"""Granted and not yet over."""

Place = tuple[Address, str]
"""An application and a model: what a session sells the edge rate of."""


@dataclass(slots=True)
class Plan:
    """A user's place at the edge; its rate is taken until it is used or its time is over."""

    id: str
    key_id: str
    place: Place
    quote: Quote
    premium: int
    """Token base units beyond the relay's cost."""
    expires: float
    """By the book's clock."""
    is_used: bool = False
    """Whether its tail is being served now."""


@dataclass(slots=True)
class PlanBook:
    """All plans of this gateway; `clock` is monotonic seconds."""

    clock: Callable[[], float]
    lasts_s: float
    _plans: dict[str, Plan] = field(default_factory=dict)

    def grant(self, key_id: str, place: Place, quote: Quote, premium: int) -> Plan:
        """Take a place at the edge."""
        plan = Plan(
            "plan_" + secrets.token_hex(12), key_id, place, quote, premium,
            self.clock() + self.lasts_s,
        )  # fmt: skip
        self._plans[plan.id] = plan
        return plan

    def require_room(self, key_id: str, plans_max: int) -> None:
        """Refuse a key that has as many plans as it may have requests in flight (KeyBusyError)."""
        self._forget()
        if len(self._plans) >= PLANS_MAX:
            raise NoSupplierError("the gateway has as many plans as it keeps; try again shortly")
        if sum(each.key_id == key_id for each in self._plans.values()) >= plans_max:
            raise KeyBusyError(f"this key may have {plans_max} plans that are not over")

    def find(self, plan_id: str, key_id: str) -> Plan:
        """A plan that the key may use now (PlanNotFoundError)."""
        self._forget()
        plan = self._plans.get(plan_id)
        if plan is None or plan.key_id != key_id or plan.is_used:
            raise PlanNotFoundError(
                f"no plan {plan_id[:64]!r} of this key: it was used, or its time is over",
                param="plan",
            )
        return plan

    def end(self, plan: Plan) -> None:
        """Give its place back."""
        self._plans.pop(plan.id, None)

    def taken(self, place: Place) -> int:
        """MFLOP/s of the plans that are not over."""
        self._forget()
        plans = self._plans.values()
        return sum(each.quote.plan.edge_rate for each in plans if each.place == place)

    def _forget(self) -> None:
        """Drop those whose time is over; they stand in the order in which it ends."""
        now = self.clock()
        ended = takewhile(lambda each: each.expires <= now, self._plans.values())
        for plan in [each for each in ended if not each.is_used]:
            del self._plans[plan.id]
