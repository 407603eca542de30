"""Reads a request body: bounded JSON, then one typed, ranged field at a time.

Every refusal is a RequestError that names the parameter, as OpenAI's API does.
"""

from collections.abc import Collection
from typing import Any

import orjson

from supplier.engines.embedded.errors import RequestError

__all__ = ["DEPTH_MAX", "Fields", "parse_object"]

DEPTH_MAX = 32


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; RequestError unless it is one, at most 32 deep."""
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise RequestError(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestError("the body must be a JSON object")
    _verify_depth(value)
    return value


class Fields:
    """The fields of a JSON object; null is the same as absent."""

    def __init__(self, values: dict[str, Any], known: Collection[str]) -> None:
        """Raise RequestError where a field is not among the `known` ones."""
        given = {name for name, value in values.items() if value is not None}
        unknown = sorted(given.difference(known))
        if unknown:
            raise RequestError(f"unrecognized parameter: {unknown[0]!r}", unknown[0])
        self._values = values

    def get(self, name: str) -> Any:
        """Return the value as it came, None where absent."""
        return self._values.get(name)

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Return a whole number within [low, high], None where absent."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise RequestError(f"{name} must be an integer", name)
        if not low <= value <= high:
            raise RequestError(f"{name} must be between {low} and {high}, is {value}", name)
        return value

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """Return a number within [low, high]."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise RequestError(f"{name} must be a number", name)
        if not low <= value <= high:
            raise RequestError(f"{name} must be between {low} and {high}, is {value}", name)
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise RequestError(f"{name} must be a boolean", name)
        return value

    def text(self, name: str) -> str | None:
        """Return a string, None where absent."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise RequestError(f"{name} must be a string", name)
        return value

    def token_ids(self, name: str, vocabulary: int, count_max: int) -> tuple[int, ...]:
        """Return a list of token ids, empty where absent."""
        value = self.get(name)
        return () if value is None else read_token_ids(value, name, vocabulary, count_max)


def read_token_ids(value: Any, name: str, vocabulary: int, count_max: int) -> tuple[int, ...]:
    """Return a list of at most `count_max` ids below `vocabulary`; RequestError otherwise."""
    if not isinstance(value, list) or len(value) > count_max:
        raise RequestError(f"{name} must be a list of at most {count_max} token ids", name)
    for token in value:
        if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < vocabulary:
            raise RequestError(f"{name} holds {token!r}, which is no token id", name)
    return tuple(value)


def _verify_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise RequestError(f"the body is nested deeper than {DEPTH_MAX}")
