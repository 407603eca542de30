"""`/v1/responses` over chat completions: requests, answers and streams translated, both ways."""

from gateway.api.responses.plane import ResponsesPlane

__all__ = ["ResponsesPlane"]
