"""Errors of a gateway, split first by whose fault; each knows its HTTP status and OpenAI code.

* GatewayError                       500  internal_error
  x RequestError                     400  invalid_request         the client must change something
    + MalformedBodyError             400  invalid_json
    + BodyTooLargeError              413  body_too_large
    + InvalidParameterError          400  invalid_value
    + MissingParameterError          400  missing_required_parameter
    + UnknownParameterError          400  unknown_parameter
    + UnsupportedParameterError      400  unsupported_parameter
    + InvalidKeyError                401  invalid_api_key
    + ModelForbiddenError            403  model_not_allowed
    + InsufficientFundsError         402  insufficient_funds
    + PriceTooHighError              402  price_above_cap
    + ModelNotFoundError             404  model_not_found
    + RouteNotFoundError             404  unknown_url
    + KeyNotFoundError               404  key_not_found
    + ProjectNotFoundError           404  project_not_found
    + RequestNotFoundError           404  request_not_found
    + FileNotFoundHereError          404  file_not_found
    + PlanNotFoundError              404  plan_not_found
    + ServiceNotFoundError           404  service_not_found
    + DialRefusedError               403  dial_refused
    + MethodNotAllowedError          405  method_not_allowed
    + IdempotencyError               422  idempotency_key_used
    + KeyBusyError                   429  rate_limit_exceeded
    + LimitError                     429
      - RateLimitedError             429  rate_limit_exceeded
      - QuotaExceededError           429  insufficient_quota
      - OutbidError                  429  outbid
      - GatewayBusyError             429  gateway_busy
      - NoRoomError                  429  no_room
    + NoPlanError                    400  no_plan
  x DialBusyError                    503  dial_busy               the supplier dials again later
  x NoSupplierError                  503  no_supplier_available   nobody is left to ask
  x ClosingError                     503  gateway_closing         another replica may be asked
  x UpstreamError                                                 one supplier failed; ask another
    + UpstreamRefusedError           503  upstream_refused
      - SessionOverError             503  upstream_refused        ask in the next session
    + UpstreamBrokenError            502  upstream_broken
    + UpstreamInvalidError           502  upstream_invalid
    + UpstreamTimeoutError           504  upstream_timeout
  x RejectedBySupplierError          400  (the supplier's code)   any supplier would say the same
  x DatabaseError                    503  database_unavailable    the tables cannot be used
  x SigningKeyMissingError           500  signing_key_missing     the operator must bring the key
  x BillError                        500  bill_does_not_hold      whoever wrote the bill is at fault
"""

from node.errors import NodeError


class GatewayError(NodeError):
    """Base class; the data plane turns any of these into one OpenAI error body."""

    retry_after_s: int | None = 1
    """When a request refused with 429 or 503 may be sent again; None: never as it is."""


class RequestError(GatewayError):
    """The client's request is at fault and would fail again as it is."""

    status = 400
    kind = "invalid_request_error"
    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class MalformedBodyError(RequestError):
    """The body is not one JSON object within the limits on its shape."""

    code = "invalid_json"


class BodyTooLargeError(RequestError):
    """The body is longer than the gateway reads."""

    status = 413
    code = "body_too_large"


class InvalidParameterError(RequestError):
    """A parameter has a type or value that is not allowed."""

    code = "invalid_value"


class MissingParameterError(RequestError):
    """A parameter without which there is nothing to do."""

    code = "missing_required_parameter"


class UnknownParameterError(RequestError):
    """A parameter outside the allowlist of its endpoint."""

    code = "unknown_parameter"


class UnsupportedParameterError(RequestError):
    """A parameter OpenAI knows and this market cannot count or check."""

    code = "unsupported_parameter"


class InvalidKeyError(RequestError):
    """No API key, or one that is unknown, revoked or expired."""

    status = 401
    code = "invalid_api_key"


class ModelForbiddenError(RequestError):
    """The key may not use this model."""

    status = 403
    code = "model_not_allowed"


class InsufficientFundsError(RequestError):
    """What the application delegated for this session is spent, or too small for the request."""

    status = 402
    kind = "insufficient_quota"
    code = "insufficient_funds"


class PriceTooHighError(RequestError):
    """Nobody serves the model for as little as the client caps the price at."""

    status = 402
    kind = "insufficient_quota"
    code = "price_above_cap"


class ModelNotFoundError(RequestError):
    """No service of that name is served to this key's application."""

    status = 404
    code = "model_not_found"


class RouteNotFoundError(RequestError):
    """No such path."""

    status = 404
    code = "unknown_url"


class KeyNotFoundError(RequestError):
    """The gateway has no API key of that id, or has revoked it."""

    status = 404
    code = "key_not_found"


class ProjectNotFoundError(RequestError):
    """The gateway has no project of that id, or has archived it."""

    status = 404
    code = "project_not_found"


class RequestNotFoundError(RequestError):
    """The key has made no request of that id lately."""

    status = 404
    code = "request_not_found"


class PlanNotFoundError(RequestError):
    """The key has no such plan for edge inference, or has it no more."""

    status = 404
    code = "plan_not_found"


class ServiceNotFoundError(RequestError):
    """The market has no such service."""

    status = 404
    code = "service_not_found"


class NoPlanError(RequestError):
    """No exit and cut of the network is accurate enough within the deadline."""

    code = "no_plan"


class FileNotFoundHereError(RequestError):
    """The key has no file or batch of that id."""

    status = 404
    code = "file_not_found"


class MethodNotAllowedError(RequestError):
    """The path exists under another method, of which `allow` names all."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow


class DialRefusedError(RequestError):
    """The supplier that dials may not serve here, or not as it says."""

    status = 403
    code = "dial_refused"


class DialBusyError(GatewayError):
    """No line can be taken now."""

    status = 503
    code = "dial_busy"


class IdempotencyError(RequestError):
    """An idempotency key stands for another request, or for one that was cut off."""

    status = 422
    code = "idempotency_key_used"


class KeyBusyError(RequestError):
    """The key has as many requests in flight as it may."""

    status = 429
    kind = "rate_limit_error"
    code = "rate_limit_exceeded"


class LimitError(RequestError):
    """A limit of the key, or of the gateway, stands in the way."""

    status = 429

    def __init__(self, message: str, retry_after_s: int | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimitedError(LimitError):
    """The key has had its requests or tokens of this minute."""

    kind = "rate_limit_error"
    code = "rate_limit_exceeded"


class QuotaExceededError(LimitError):
    """The key's daily or monthly budget does not cover the most this request may cost."""

    kind = "insufficient_quota"
    code = "insufficient_quota"


class OutbidError(LimitError):
    """The bid does not cover the relay's cost, or others bid more for the same edge rate."""

    kind = "insufficient_quota"
    code = "outbid"

    def __init__(self, message: str) -> None:
        super().__init__(message, None)


class GatewayBusyError(LimitError):
    """More is asked of the gateway than its suppliers take at a time."""

    kind = "rate_limit_error"
    code = "gateway_busy"


class NoRoomError(LimitError):
    """As many files or batches are kept as may be, of the key or of all."""

    kind = "rate_limit_error"
    code = "no_room"


class NoSupplierError(GatewayError):
    """No member of the session can be asked now."""

    status = 503
    code = "no_supplier_available"


class ClosingError(GatewayError):
    """The gateway is shutting down, and the time is over that answers had to finish in."""

    status = 503
    code = "gateway_closing"

    def __init__(self) -> None:
        super().__init__("the gateway is shutting down; send the request again")


class UpstreamError(GatewayError):
    """One supplier failed; another may be asked."""

    status = 502
    kind = "upstream_error"


class UpstreamRefusedError(UpstreamError):
    """The supplier refused the relay before any work, for so many seconds at least."""

    status = 503
    code = "upstream_refused"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SessionOverError(UpstreamRefusedError):
    """The supplier says that the session of the relay is not the running one."""


class UpstreamBrokenError(UpstreamError):
    """The connection failed, or the engine behind the supplier did."""

    code = "upstream_broken"


class UpstreamInvalidError(UpstreamError):
    """The supplier answered with a relay the protocol does not accept."""

    code = "upstream_invalid"


class UpstreamTimeoutError(UpstreamError):
    """The supplier was silent for too long."""

    status = 504
    code = "upstream_timeout"


class RejectedBySupplierError(GatewayError):
    """The engine rejects the request itself; asking elsewhere would change nothing."""

    status = 400
    kind = "invalid_request_error"

    def __init__(self, message: str, code: str, param: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class DatabaseError(GatewayError):
    """The gateway's own tables cannot be read or written now."""

    status = 503
    code = "database_unavailable"


class SigningKeyMissingError(GatewayError):
    """The signing key on record for a session is not among the gateway's keys."""

    code = "signing_key_missing"


class BillError(GatewayError):
    """A bill contradicts itself or its signatures."""

    code = "bill_does_not_hold"
