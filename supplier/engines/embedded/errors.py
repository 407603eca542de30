"""What can go wrong in the embedded engine, first by whose fault it is.

EngineError
    ModelError              the model directory is unusable (operator)
    RequestError            the request is refused (client); knows status, type, code, parameter
        ContextLengthError      prompt and max_tokens do not fit
        ModelNotFoundError      another model was asked for
        OverloadedError         every slot and queue place is taken; try again later
"""

__all__ = [
    "ContextLengthError",
    "EngineError",
    "ModelError",
    "ModelNotFoundError",
    "OverloadedError",
    "RequestError",
]


class EngineError(Exception):
    """Anything this engine raises on purpose."""


class ModelError(EngineError):
    """The model directory cannot be served as it is."""


class RequestError(EngineError):
    """A request is refused; carries what an OpenAI error body says."""

    status = 400
    kind = "invalid_request_error"
    code: str | None = None

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ContextLengthError(RequestError):
    """The prompt and the tokens asked for exceed the model's context."""

    code = "context_length_exceeded"


class ModelNotFoundError(RequestError):
    """The model asked for is not the one served."""

    status = 404
    code = "model_not_found"


class OverloadedError(RequestError):
    """All slots are busy and the queue is full."""

    status = 429
    kind = "rate_limit_error"
    code = "engine_overloaded"
