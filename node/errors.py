"""What the error trees of both nodes stand on: each error knows its HTTP status and OpenAI code."""

from typing import ClassVar

import orjson


class NodeError(Exception):
    """Base class; a node's HTTP surface turns any of these into one OpenAI error body."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"
    code: str = "internal_error"
    param: str | None = None

    def body(self) -> bytes:
        """The error as OpenAI's JSON: `{"error": {"message", "type", "param", "code"}}`."""
        return encode_error(str(self), self.kind, self.code, self.param)


class OperatorError(NodeError):
    """Settings, keys, stake or funds need the operator; the message says what to do."""

    code = "operator"


class SettingsError(OperatorError):
    """A setting is missing, malformed or unsafe; the message names it."""

    code = "settings"


def encode_error(message: str, kind: str, code: str, param: str | None = None) -> bytes:
    """An error as OpenAI clients parse it."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return orjson.dumps({"error": error})
