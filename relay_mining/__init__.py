"""The protocol of the market: what is signed, hashed, counted, claimed and proved.

Bytes and numbers in, values out: nothing here opens a socket, reads a clock or touches a disk.
The contracts are tested against this package, byte for byte.
"""

from relay_mining.errors import (
    ExpiredError,
    InvalidClaimError,
    InvalidProofError,
    InvalidRelayError,
    MalformedError,
    OverBudgetError,
    RelayMiningError,
    ReplayedError,
    SignatureMismatchError,
    UnitsOverflowError,
    WrongSessionError,
)
from relay_mining.hashing import BodyHasher, keccak, request_body_hash
from relay_mining.messages import (
    Ack,
    Cancel,
    Domain,
    Message,
    Receipt,
    ReceiptBatch,
    RelayRequest,
    RelayResponse,
    Status,
)
from relay_mining.params import BPS, Params
from relay_mining.session import Clock, SessionKey, SessionTerms, Window, compute_terms
from relay_mining.signing import Signer, Verifier, recover
from relay_mining.types import (
    AMOUNT_MAX,
    UNITS_MAX,
    UNITS_PER_PRICE,
    Address,
    Hash32,
    Signature,
)
from relay_mining.units import UnitWeights

__all__ = [
    "AMOUNT_MAX",
    "BPS",
    "UNITS_MAX",
    "UNITS_PER_PRICE",
    "Ack",
    "Address",
    "BodyHasher",
    "Cancel",
    "Clock",
    "Domain",
    "ExpiredError",
    "Hash32",
    "InvalidClaimError",
    "InvalidProofError",
    "InvalidRelayError",
    "MalformedError",
    "Message",
    "OverBudgetError",
    "Params",
    "Receipt",
    "ReceiptBatch",
    "RelayMiningError",
    "RelayRequest",
    "RelayResponse",
    "ReplayedError",
    "SessionKey",
    "SessionTerms",
    "Signature",
    "SignatureMismatchError",
    "Signer",
    "Status",
    "UnitWeights",
    "UnitsOverflowError",
    "Verifier",
    "Window",
    "WrongSessionError",
    "compute_terms",
    "keccak",
    "recover",
    "request_body_hash",
]
