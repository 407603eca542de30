"""Choosing a member for one try. Policies are pure given their random source, one a file."""

import random
from collections.abc import Sequence
from typing import Protocol

from gateway.errors import NoSupplierError
from relay_mining import Address, value_class

ALIKE = 1.25
"""Predicted times of a ratio up to this are alike: no prediction is better than that."""


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
    seconds: float = 0.0
    """Predicted until the whole answer is there, what is in flight before it included."""
    has_room: bool = True
    """Neither beginning slowly with its hands full, nor of an owner that has its share."""


class Policy(Protocol):
    """Chooses one of the candidates; `head` is what the prompt begins with, as few bytes."""

    def __call__(self, candidates: Sequence[Candidate], head: bytes = b"") -> Candidate:
        """The one to ask; raises NoSupplierError where there is none."""


def power_of_two(rng: random.Random) -> Policy:
    """Of two candidates drawn at random, take the one predicted to be done first.

    Where both are alike, the one with fewer requests in flight, then the lower price. Source:
    M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE Transactions on
    Parallel and Distributed Systems 12 (2001), 1094-1104.
    """

    def choose(candidates: Sequence[Candidate], head: bytes = b"") -> Candidate:
        count = len(candidates)
        if count == 0:
            raise NoSupplierError("no supplier of this session is left to ask")
        if count == 1:
            return candidates[0]
        first = int(rng.random() * count)
        second = int(rng.random() * (count - 1))
        if second >= first:
            second += 1
        return _sooner(candidates[first], candidates[second])

    return choose


def _sooner(one: Candidate, other: Candidate) -> Candidate:
    if one.seconds > ALIKE * other.seconds:
        return other
    if other.seconds > ALIKE * one.seconds:
        return one
    return min(one, other, key=lambda each: (each.in_flight, each.price))


def prefer_good(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those in good standing that have room; where none is, those in good standing; else all."""
    good = [each for each in candidates if each.is_good]
    return [each for each in good if each.has_room] or good or candidates
