"""Errors of the relay-mining protocol, split first by whose fault they are.

* RelayMiningError
  x InvalidRelayError            a peer sent something the protocol does not accept
    + SignatureMismatchError     not signed by who should have signed it
    + WrongSessionError          belongs to another session, service, payer or member
    + MalformedError             bytes that no honest encoder writes
    + ExpiredError               came after its expiry or its window
    + ReplayedError              was counted before
    + OverBudgetError            does not fit the slice, the credit or `max_units`
  x InvalidClaimError            a claim that the contract would refuse
  x InvalidProofError            a proof that does not support the claim it was made for
  x UnitsOverflowError           a count or sum that does not fit its integer on the chain

Each class names a decision its caller makes (drop the peer, refuse the relay, skip the claim),
never the line that failed. Programming mistakes are `ValueError`s and are not caught.
"""


class RelayMiningError(Exception):
    """Anything the protocol refuses."""


class InvalidRelayError(RelayMiningError):
    """A peer sent something the protocol does not accept."""


class SignatureMismatchError(InvalidRelayError):
    """A signature is not the expected signer's, or not one the chain would accept."""


class WrongSessionError(InvalidRelayError):
    """A message belongs to another session, service, payer or member."""


class MalformedError(InvalidRelayError):
    """Bytes that no honest encoder writes."""


class ExpiredError(InvalidRelayError):
    """A message came after its expiry or its window."""


class ReplayedError(InvalidRelayError):
    """A message was counted before."""


class OverBudgetError(InvalidRelayError):
    """A relay does not fit the slice, the credit or the units it was given."""


class InvalidClaimError(RelayMiningError):
    """A claim, or the membership it rests on, that the contract would refuse."""


class InvalidProofError(RelayMiningError):
    """A proof does not support the claim it was made for."""


class UnitsOverflowError(RelayMiningError):
    """A count or sum does not fit its integer on the chain."""
