"""Which engine serves which service: those whose listing has the digest of its model. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.errors import OperatorError
from relay_mining import Hash32


@dataclass(frozen=True, slots=True)
class Offer:
    """What an engine can serve."""

    name: str
    spec_hash: Hash32
    spec: bytes
    """As it is hashed, for whoever has to find the difference."""
    services: frozenset[Hash32]
    """Those it is meant for; empty for all of its model."""


def assign_services(
    offers: Sequence[Offer], listed: Mapping[Hash32, Hash32]
) -> dict[str, frozenset[Hash32]]:
    """The services of each engine by name, `listed` being the spec hash of every service.

    Raises OperatorError where a service has no engine, an engine no service, or one of them
    another model than the other.
    """
    for offer in offers:
        for service in offer.services:
            if service not in listed:
                raise OperatorError(
                    f"engine {offer.name} is for service 0x{service.hex()}, which is not among "
                    "`services`"
                )
            if listed[service] != offer.spec_hash:
                raise OperatorError(_describe(service, listed[service], [offer]))
    found = {offer.name: _assign(offer, listed) for offer in offers}
    for service, spec_hash in listed.items():
        if not any(service in services for services in found.values()):
            raise OperatorError(_describe(service, spec_hash, offers))
    idle = [name for name, services in found.items() if not services]
    if idle:
        raise OperatorError(
            f"engine {idle[0]} serves none of `services`: list its model first, or take it out"
        )
    return found


def _assign(offer: Offer, listed: Mapping[Hash32, Hash32]) -> frozenset[Hash32]:
    meant = offer.services or listed.keys()
    return frozenset(each for each in meant if listed[each] == offer.spec_hash)


def _describe(service: Hash32, spec_hash: Hash32, offers: Sequence[Offer]) -> str:
    models = "; ".join(
        f"{each.name} has {each.spec_hash.hex()}, which is of {each.spec.decode()}"
        for each in offers
    )
    return (
        f"service 0x{service.hex()} has the spec hash {spec_hash.hex()}, and no engine here: "
        f"{models}"
    )
