"""Why a proof is refused: one name per verdict, the same in Python and in Solidity.

`ProofFault` mirrors the contracts' errors `Proof_...` by name and in the order of the checks, so
that a generated case can be held against both verifiers and the verdicts compared as strings. Only
`SaltMismatch` has no twin: on the chain a wrong salt makes other receipts, and so another root.
"""

from enum import StrEnum

from relay_mining.errors import InvalidProofError


class ProofFault(StrEnum):
    """The first rule a refused proof breaks."""

    WRONG_LEAF_COUNT = "WrongLeafCount"
    SALT_MISMATCH = "SaltMismatch"
    UNITS_OUT_OF_RANGE = "UnitsOutOfRange"
    NOT_PAYABLE = "NotPayable"
    MALFORMED_SIBLINGS = "MalformedSiblings"
    SUM_OVERFLOW = "SumOverflow"
    ROOT_MISMATCH = "RootMismatch"
    POINT_NOT_COVERED = "PointNotCovered"
    PATH_MISMATCH = "PathMismatch"
    BAD_BATCH_SIGNATURE = "BadBatchSignature"


class RefusedProofError(InvalidProofError):
    """A proof was opened and breaks the rule that `fault` names."""

    def __init__(self, fault: ProofFault, message: str) -> None:
        super().__init__(f"{fault.value}: {message}")
        self.fault = fault
