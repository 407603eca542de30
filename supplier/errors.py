"""Errors of a supplier's relays, split first by whose fault; each knows its HTTP status and code.

* SupplierError
  x RelayRefusedError                the gateway's fault, or the state of its session
    + MalformedRelayError       400  malformed_relay
    + ExpiredRelayError         400  relay_expired
    + WrongSignerError          401  wrong_signer
    + CreditExhaustedError      402  credit_exhausted
    + NotMemberError            403  not_a_member
    + FeeTooHighError           403  fee_too_high
    + PathNotServedError        404  path_not_served
    + UnknownRelayError         404  unknown_relay
    + WrongSessionError         409  wrong_session
    + ReplayedRelayError        409  replayed_relay
    + WrongSupplierError        421  wrong_supplier
    + MisdirectedError          421  misdirected
    + UnderReservedError        422  max_units_too_small
    + ReceiptRefusedError       422  receipt_refused
    + SliceSpentError           429  slice_spent
    + BusyError                 503  supplier_busy
    + ChainUnavailableError     503  chain_unavailable
  x UpstreamError                    the engine behind the relay server failed
    + EngineUnavailableError    502  engine_unavailable
    + EngineTimeoutError        504  engine_timeout
"""

from node.errors import NodeError


class SupplierError(NodeError):
    """Base class; the relay server turns any of these into one OpenAI error body."""


class RelayRefusedError(SupplierError):
    """A relay is refused before any work; nothing of it is kept."""

    status = 400
    code = "relay_refused"
    kind = "invalid_request_error"


class MalformedRelayError(RelayRefusedError):
    """The relay header or the body does not parse."""

    code = "malformed_relay"


class ExpiredRelayError(RelayRefusedError):
    """The request's expiry has passed, or is further away than this supplier allows."""

    code = "relay_expired"


class WrongSignerError(RelayRefusedError):
    """The signature is not the gateway's, by its key on record for the session, over this body."""

    status = 401
    code = "wrong_signer"
    kind = "authentication_error"


class CreditExhaustedError(RelayRefusedError):
    """Served but unreceipted units have reached the credit given to this gateway."""

    status = 402
    code = "credit_exhausted"
    kind = "insufficient_quota"


class NotMemberError(RelayRefusedError):
    """This supplier was not drawn for the session."""

    status = 403
    code = "not_a_member"
    kind = "permission_error"


class FeeTooHighError(RelayRefusedError):
    """The delegation grants its gateway more of the ask than this supplier accepts."""

    status = 403
    code = "fee_too_high"
    kind = "permission_error"


class PathNotServedError(RelayRefusedError):
    """The path or method is not on the allowlist."""

    status = 404
    code = "path_not_served"


class UnknownRelayError(RelayRefusedError):
    """No relay of that request is known here."""

    status = 404
    code = "unknown_relay"


class WrongSessionError(RelayRefusedError):
    """The session is not current, not valid on chain, or already closed."""

    status = 409
    code = "wrong_session"


class ReplayedRelayError(RelayRefusedError):
    """The nonce was used in this session already."""

    status = 409
    code = "replayed_relay"


class WrongSupplierError(RelayRefusedError):
    """The request names another supplier."""

    status = 421
    code = "wrong_supplier"


class MisdirectedError(RelayRefusedError):
    """Another relay server of this supplier serves the gateway."""

    status = 421
    code = "misdirected"

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} serves this gateway")
        self.url = url
        """Where to send everything of this gateway."""


class UnderReservedError(RelayRefusedError):
    """`maxUnits` does not cover the worst case of the request."""

    status = 422
    code = "max_units_too_small"


class ReceiptRefusedError(RelayRefusedError):
    """A receipt fails the leaf predicate, claims more than was served, or comes too late."""

    status = 422
    code = "receipt_refused"


class SliceSpentError(RelayRefusedError):
    """The session's slice has no room for the worst case of this relay."""

    status = 429
    code = "slice_spent"
    kind = "rate_limit_error"


class BusyError(RelayRefusedError):
    """A bound of this server is reached; try again, or another member."""

    status = 503
    code = "supplier_busy"
    kind = "server_error"


class ChainUnavailableError(RelayRefusedError):
    """The chain could not be asked whether this session is good."""

    status = 503
    code = "chain_unavailable"
    kind = "server_error"


class UpstreamError(SupplierError):
    """The engine failed; the relay ends unpaid with a signed status."""

    status = 502
    code = "engine_unavailable"
    kind = "upstream_error"


class EngineUnavailableError(UpstreamError):
    """The engine refused the connection, broke it, or answered 5xx."""


class EngineTimeoutError(UpstreamError):
    """The engine did not answer within the deadline."""

    status = 504
    code = "engine_timeout"
