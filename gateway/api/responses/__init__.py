"""`/v1/responses` over chat completions: requests, answers and streams translated, both ways."""

from gateway.api.responses.plane import ResponsesPlane
from gateway.api.responses.schema import RESPONSE

__all__ = ["RESPONSE", "ResponsesPlane"]
