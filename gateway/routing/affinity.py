"""The policy that sends prompts that begin alike to the same supplier, whose cache has them."""

from collections.abc import Sequence
from hashlib import blake2b

from gateway.errors import NoSupplierError
from gateway.routing.balancer import Candidate

EXCESS_PERCENT = 125
"""Of the mean in flight, rounded up: what one candidate may have before the next is asked."""


def prefix_affinity(candidates: Sequence[Candidate], head: bytes = b"") -> Candidate:
    """The first by the prompt's head that is not loaded beyond its bound.

    Candidates are ordered by a hash of head and supplier, so that one more or less moves only what
    was its own, and every gateway orders alike. Sources: D. Thaler and C. Ravishankar, "Using
    Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6 (1998), 1-14;
    V. Mirrokni, M. Thorup and M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.
    """
    if not candidates:
        raise NoSupplierError("no supplier of this session is left to ask")
    bound = load_bound([each.in_flight for each in candidates])
    free = [each for each in candidates if each.in_flight < bound]
    return max(free, key=lambda each: place_of(head, each.supplier))


def load_bound(in_flight: Sequence[int]) -> int:
    """The most that one may have in flight, this request included, rounded up.

    At least one is below it: all of them at it would be more than there are.
    """
    total = sum(in_flight) + 1
    return -(-total * EXCESS_PERCENT // (100 * len(in_flight)))


def place_of(head: bytes, supplier: bytes) -> bytes:
    """Where a supplier stands for a head; the highest is first."""
    return blake2b(head + supplier, digest_size=8).digest()
