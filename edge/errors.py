"""What can go wrong at a device, first by whose fault it is.

EdgeError
    WrongNetworkError   this device's network is not the one whose tail is served
    RefusedError        the gateway refuses: no plan, outbid, no key; the code says which
    UnreachableError    nobody answers
    BadGatewayError     what answers is no plan and no answer
"""


class EdgeError(Exception):
    """Anything the device's client raises on purpose, but for wrong pixels."""


class WrongNetworkError(EdgeError):
    """Head and tail would be of two networks."""


class RefusedError(EdgeError):
    """The gateway's refusal, with its HTTP status and OpenAI code."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UnreachableError(EdgeError):
    """The connection failed, or the deadline of the exchange passed."""


class BadGatewayError(EdgeError):
    """The gateway, or the supplier behind it, does not keep to the protocol."""
