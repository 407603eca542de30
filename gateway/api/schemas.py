"""JSON Schemas of the parameters that are more than a number, a text or a flag.

Each allows what the predicate beside it in `gateway.api.parameters` does, as far as a schema can
say; rules over several parameters at once stand in `gateway.api.combinations` alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.api.checks import FUNCTION_NAME, TOOLS_MAX, VARIABLE_NAME
from gateway.api.messages import CALLS_MAX, ROLES, SAID, UNSERVED
from relay_mining import RESERVED_VARIABLES

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
NULL: Schema = {"type": "null"}


def exactly(needed: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these members and no other."""
    return {
        "type": "object", "properties": {**(optional or {}), **needed}, "required": [*needed],
        "additionalProperties": False,
    }  # fmt: skip


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, NULL]}


def any_of(*schemas: Schema) -> Schema:
    """One of these at least."""
    return {"anyOf": list(schemas)}


def list_of(schema: Schema, least: int = 0, most: int | None = None) -> Schema:
    """A list of so many."""
    found = {"type": "array", "items": schema, "minItems": least}
    return found if most is None else found | {"maxItems": most}


def matching(pattern: str) -> Schema:
    """A text that a pattern matches from end to end."""
    return {"type": "string", "pattern": f"^{pattern}$"}


_NAME = matching(FUNCTION_NAME.pattern)
_STOP: Schema = {"type": "string", "minLength": 1, "maxLength": 1024}
_SHORT: Schema = {"type": "string", "maxLength": 512}
_TOKENS: Schema = list_of({"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1}, 1)

STREAM_OPTIONS = exactly({}, {"include_usage": {"type": "boolean"}})
STOP = any_of(_STOP, list_of(_STOP, most=16))
LOGIT_BIAS: Schema = {
    "type": "object", "maxProperties": 1024, "propertyNames": {"pattern": "^[0-9]+$"},
    "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
}  # fmt: skip
METADATA: Schema = {"type": "object", "maxProperties": 16, "additionalProperties": _SHORT}
PROMPT = any_of(TEXT, _TOKENS, list_of(TEXT, 1), list_of(_TOKENS, 1))
_FILLED: Schema = {"type": "string", "minLength": 1}
INPUT = any_of(_FILLED, _TOKENS, list_of(_FILLED, 1), list_of(_TOKENS, 1))

TOOLS = list_of(
    exactly(
        {
            "type": {"const": "function"},
            "function": exactly(
                {"name": _NAME},
                {
                    "description": nullable(TEXT),
                    "parameters": nullable(OBJECT),
                    "strict": nullable({"type": "boolean"}),
                },
            ),
        }
    ),
    most=TOOLS_MAX,
)
TOOL_CHOICE = any_of(
    {"enum": ["none", "auto", "required"]},
    exactly({"type": {"const": "function"}, "function": exactly({"name": _NAME})}),
)
RESPONSE_FORMAT = any_of(
    exactly({"type": {"enum": ["text", "json_object"]}}),
    exactly(
        {
            "type": {"const": "json_schema"},
            "json_schema": exactly(
                {"name": _NAME, "schema": OBJECT}, {"description": {}, "strict": {}}
            ),
        }
    ),
)
TEMPLATE_VARIABLES: Schema = {
    "type": "object",
    "maxProperties": 16,
    "propertyNames": {
        "pattern": f"^{VARIABLE_NAME.pattern}$", "not": {"enum": sorted(RESERVED_VARIABLES)},
    },
    "additionalProperties": any_of({"type": ["boolean", "number"]}, _SHORT),
}  # fmt: skip


def _message(roles: Sequence[str], needed: Mapping[str, Schema], **more: Schema) -> Schema:
    return exactly({"role": {"enum": list(roles)}, **needed}, {"name": nullable(TEXT), **more})


_CONTENT = any_of(TEXT, list_of(exactly({"type": {"const": "text"}, "text": TEXT}), 1))
_CALL = exactly(
    {
        "id": TEXT,
        "type": {"const": "function"},
        "function": exactly({"name": TEXT, "arguments": TEXT}, {"parsed_arguments": {}}),
    },
    {"index": {}},
)
_MAY: Mapping[str, Schema] = {
    "content": nullable(_CONTENT),
    "tool_calls": nullable(list_of(_CALL, most=CALLS_MAX)),
    "annotations": nullable(list_of({})),
    "parsed": {},
    **dict.fromkeys(SAID, nullable(TEXT)),
    **dict.fromkeys(UNSERVED, NULL),
}
_MUST: Mapping[str, Schema] = {
    "content": _CONTENT,
    "tool_calls": list_of(_CALL, 1, CALLS_MAX),
    **dict.fromkeys(SAID, _FILLED),
}
"""An assistant's message has one of these."""
MESSAGE = any_of(
    _message(ROLES[:3], {"content": _CONTENT}),
    *(_message(("assistant",), {name: must}, **_MAY) for name, must in _MUST.items()),
    _message(("tool",), {"content": _CONTENT, "tool_call_id": TEXT}),
)
MESSAGES = list_of(MESSAGE, 1, 2048)
