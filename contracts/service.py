"""What a service is, and the ids of services and suppliers as the registry computes them."""

from dataclasses import dataclass

from eth_abi.abi import encode as abi_encode

from contracts.client import Struct
from relay_mining import Address, Hash32, UnitWeights, keccak

_FIELD_TYPES = (
    "address",
    "bytes32",
    "uint64",
    "uint64",
    "uint64",
    "uint64",
    "uint16",
    "address",
    "string",
)


@dataclass(frozen=True, slots=True)
class Service:
    """What is served and how it is counted; immutable."""

    source: Address
    """The owner of the model, who earns `source_bps` of what the service earns."""
    spec_hash: Hash32
    """sha256 of the canonical JSON specification of the model and its engine."""
    weights: UnitWeights
    source_bps: int
    market: Address
    """The contract that publishes the rosters; the zero address where asks are posted."""
    name: str


def compute_supplier_id(owner: Address, salt: Hash32) -> Address:
    """The id of a supplier: the first 20 bytes of `keccak256(abi.encode(owner, salt))`."""
    return keccak(owner.rjust(32, b"\0") + salt)[:20]


def compute_service_id(service: Service) -> Hash32:
    """The id of a service: `keccak256` of the ABI encoding of its fields."""
    return keccak(abi_encode(_FIELD_TYPES, encode_service(service)))


def decode_service(struct: Struct) -> Service:
    """The service of a Solidity struct."""
    source, spec_hash, request, inputs, cached, output, source_bps, market, name = struct
    weights = UnitWeights(request, inputs, cached, output)
    return Service(source, spec_hash, weights, source_bps, market, name)


def encode_service(service: Service) -> Struct:
    """The Solidity struct of a service."""
    weights = service.weights
    return (
        service.source,
        service.spec_hash,
        weights.request,
        weights.input,
        weights.cached,
        weights.output,
        service.source_bps,
        service.market,
        service.name,
    )
