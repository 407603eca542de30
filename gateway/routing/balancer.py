"""Choosing a member for one try. Policies are pure given their random source."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.errors import NoSupplierError
from relay_mining import Address, value_class


@value_class
class Candidate:
    """What a policy may know of a member when it chooses."""

    index: int
    """Its place in the caller's list."""
    in_flight: int
    is_good: bool = True
    """No recent fault, and credit for the request as far as the gateway can tell."""
    price: int = 0
    """Token base units per million compute units."""
    supplier: Address = b""


C = TypeVar("C", bound=Candidate)
Policy = Callable[[Sequence[Candidate]], Candidate]


def power_of_two(rng: random.Random) -> Policy:
    """Of two candidates drawn at random, take the one with fewer requests in flight.

    Ties go to the lower price. Source: M. Mitzenmacher, "The Power of Two Choices in Randomized
    Load Balancing", IEEE Transactions on Parallel and Distributed Systems 12 (2001), 1094-1104.
    """

    def choose(candidates: Sequence[Candidate]) -> Candidate:
        count = len(candidates)
        if count == 0:
            raise NoSupplierError("no supplier of this session is left to ask")
        if count == 1:
            return candidates[0]
        first = int(rng.random() * count)
        second = int(rng.random() * (count - 1))
        if second >= first:
            second += 1
        return min(
            candidates[first], candidates[second], key=lambda each: (each.in_flight, each.price)
        )

    return choose


def prefer_good(policy: Policy) -> Policy:
    """Choose among candidates in good standing, and among all only where none is."""

    def choose(candidates: Sequence[Candidate]) -> Candidate:
        return policy([each for each in candidates if each.is_good] or candidates)

    return choose
