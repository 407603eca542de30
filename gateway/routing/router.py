"""Who is asked next: the members as candidates, and the policy that the settings name."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.routing.affinity import prefix_affinity
from gateway.routing.balancer import Candidate, Policy, power_of_two, prefer_good
from gateway.routing.owners import OwnerShares
from gateway.routing.prediction import Predictor, predict
from gateway.routing.relay import Relay
from gateway.routing.sessions import Member
from gateway.routing.standing import Standing
from gateway.routing.weighted import weighted
from relay_mining import value_class

PolicyName = Literal["power_of_two", "weighted", "prefix"]
EXPLORED = "explored"


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """How members are chosen."""

    policy: PolicyName = "power_of_two"
    explore_share: float = 0.02
    """Of the choices, made blindly, so that what changed for the better is noticed."""
    owner_share_max: float = 0.75
    """Of the choices for a model, to suppliers of one owner where others are good too."""


@value_class
class Choice:
    """Who is asked, among whom it was chosen, and by what."""

    member: Member
    considered: Sequence[Candidate]
    by: str
    """The policy's name, or `explored`."""


@dataclass(slots=True)
class Router:
    """Chooses by what standing and predictor know; reads them and changes neither."""

    standing: Standing
    predictor: Predictor
    rng: random.Random
    rules: RoutingRules = field(default_factory=RoutingRules)
    _policy: Policy = field(init=False)
    _owners: defaultdict[str, OwnerShares] = field(init=False)

    def __post_init__(self) -> None:
        self.set(self.rules)

    def set(self, rules: RoutingRules) -> None:
        """Choose by other rules from now on."""
        policies: dict[PolicyName, Policy] = {
            "power_of_two": power_of_two(self.rng),
            "weighted": weighted(self.rng),
            "prefix": prefix_affinity,
        }
        self.rules, self._policy = rules, policies[rules.policy]
        self._owners = defaultdict(lambda: OwnerShares(rules.owner_share_max))

    def choose(self, members: Sequence[Member], relay: Relay) -> Choice:
        """The next to ask; raises NoSupplierError where no member is given."""
        owners = self._owners[relay.request.model]
        candidates = self._describe(members, relay, owners)
        best = prefer_good(candidates)
        by: str = self.rules.policy
        if len(best) > 1 and self.rng.random() < self.rules.explore_share:
            chosen, by = best[int(self.rng.random() * len(best))], EXPLORED
        else:
            chosen = self._policy(best, relay.request.head)
        member = members[chosen.index]
        owners.note(member.owner)
        return Choice(member, candidates, by)

    def _describe(
        self, members: Sequence[Member], relay: Relay, owners: OwnerShares
    ) -> list[Candidate]:
        times, judge = self.predictor.of(relay.request.model), self.standing.judge
        units, size, tokens = relay.max_units, len(relay.body), relay.output_tokens
        found = []
        for index, each in enumerate(members):
            supplier = each.supplier
            in_flight, is_good, has_room = judge(supplier, units)
            seconds = predict(times, supplier, in_flight + 1, size, tokens)
            has_room = has_room and not owners.is_over(each.owner)
            found.append(
                Candidate(index, in_flight, is_good, each.terms.price, supplier, seconds, has_room)
            )
        return found
