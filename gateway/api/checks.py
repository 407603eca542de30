"""Predicates on the values of parameters, each with the words for what it allows and a schema."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay_mining import RESERVED_VARIABLES

TOKENS_MAX = 1 << 24
TOOLS_MAX = 128
FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
VARIABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Check:
    """A predicate on a value that is not null, the words for it, and the same as JSON Schema."""

    is_allowed: Callable[[Any], bool]
    rule: str
    schema: Mapping[str, Any] = field(default_factory=dict)


def number(low: float, high: float) -> Check:
    """A number within [low, high]."""

    def is_allowed(value: Any) -> bool:
        return type(value) in (int, float) and low <= value <= high

    schema = {"type": "number", "minimum": low, "maximum": high}
    return Check(is_allowed, f"a number from {low:g} to {high:g}", schema)


def integer(low: int, high: int) -> Check:
    """A whole number within [low, high]."""

    def is_allowed(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Check(is_allowed, f"an integer from {low} to {high}", schema)


def text(length_max: int, length_min: int = 0) -> Check:
    """A string; lengths in characters."""

    def is_allowed(value: Any) -> bool:
        return type(value) is str and length_min <= len(value) <= length_max

    schema = {"type": "string", "minLength": length_min, "maxLength": length_max}
    return Check(is_allowed, f"a string of {length_min} to {length_max} characters", schema)


def one_of(*values: str) -> Check:
    """One of a few strings."""
    return Check(
        lambda value: type(value) is str and value in values,
        "one of " + ", ".join(values),
        {"enum": list(values)},
    )


FLAG = Check(lambda value: type(value) is bool, "true or false", {"type": "boolean"})


def is_stop(value: Any) -> bool:
    """Whether a value is a stop string or at most 16 of them."""
    if type(value) is str:
        return 0 < len(value) <= 1024
    return (
        type(value) is list
        and len(value) <= 16
        and all(type(each) is str and 0 < len(each) <= 1024 for each in value)
    )


def is_logit_bias(value: Any) -> bool:
    """Whether a value maps at most 1024 token ids to biases."""
    return (
        type(value) is dict
        and len(value) <= 1024
        and all(
            key.isascii() and key.isdigit() and type(bias) in (int, float) and -100 <= bias <= 100
            for key, bias in value.items()
        )
    )


def is_stream_options(value: Any) -> bool:
    """Whether a value is `stream_options` as served here."""
    return (
        type(value) is dict
        and value.keys() <= {"include_usage"}
        and all(type(each) is bool for each in value.values())
    )


def is_metadata(value: Any) -> bool:
    """Whether a value is a few short strings by name."""
    return (
        type(value) is dict
        and len(value) <= 16
        and all(type(each) is str and len(each) <= 512 for each in value.values())
    )


def is_prompt(value: Any) -> bool:
    """Whether a value is a text, token ids, or a list of either; never an empty list."""
    if type(value) is str:
        return True
    if type(value) is not list or not value:
        return False
    if type(value[0]) is int:
        return _is_token_list(value)
    if type(value[0]) is str:
        return all(type(each) is str for each in value)
    return all(_is_token_list(each) and each for each in value)


def is_input(value: Any) -> bool:
    """Whether a value can be embedded: a prompt whose every text has a character."""
    if not is_prompt(value):
        return False
    return value != "" and (type(value) is str or "" not in value)


def _is_token_list(value: Any) -> bool:
    return type(value) is list and all(type(i) is int and 0 <= i < 1 << 32 for i in value)


def is_tools(value: Any) -> bool:
    """Whether a value is a list of functions with JSON Schemas."""
    return type(value) is list and len(value) <= TOOLS_MAX and all(_is_tool(each) for each in value)


def _is_tool(value: Any) -> bool:
    function = value.get("function") if type(value) is dict else None
    return (
        type(function) is dict
        and value.keys() == {"type", "function"}
        and value["type"] == "function"
        and function.keys() <= {"name", "description", "parameters", "strict"}
        and _is_name(function.get("name"))
        and isinstance(function.get("description"), str | None)
        and isinstance(function.get("parameters"), dict | None)
        and isinstance(function.get("strict"), bool | None)
    )


def is_tool_choice(value: Any) -> bool:
    """Whether a value leaves, forbids, requires or names a tool."""
    if type(value) is str:
        return value in ("none", "auto", "required")
    function = value.get("function") if type(value) is dict else None
    return (
        type(function) is dict
        and value.keys() == {"type", "function"}
        and value["type"] == "function"
        and function.keys() == {"name"}
        and _is_name(function["name"])
    )


def _is_name(value: Any) -> bool:
    return type(value) is str and FUNCTION_NAME.fullmatch(value) is not None


def is_response_format(value: Any) -> bool:
    """Whether a value asks for text, for JSON, or for JSON by a schema."""
    if type(value) is not dict:
        return False
    schema = value.get("json_schema")
    if value.get("type") == "json_schema":
        return (
            value.keys() == {"type", "json_schema"}
            and type(schema) is dict
            and schema.keys() <= {"name", "description", "schema", "strict"}
            and _is_name(schema.get("name"))
            and type(schema.get("schema")) is dict
        )
    return value.get("type") in ("text", "json_object") and len(value) == 1


def is_template_variables(value: Any) -> bool:
    """Whether a value is a few flags, numbers and short strings for the chat template."""
    return (
        type(value) is dict
        and len(value) <= 16
        and all(VARIABLE_NAME.fullmatch(name) for name in value)
        and RESERVED_VARIABLES.isdisjoint(value)
        and all(
            type(each) in (bool, int, float) or (type(each) is str and len(each) <= 512)
            for each in value.values()
        )
    )
