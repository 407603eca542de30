"""What a request for a response may hold, as JSON Schema; the chat made of it is held to more."""

from gateway.api.parameters import CHAT
from gateway.api.responses.requests import SAME, UNSUPPORTED
from gateway.api.schemas import OBJECT, Schema, any_of, list_of, nullable

_GIVEN: Schema = {"type": "string", "minLength": 1}
_OFF: Schema = {"enum": [None, False]}
RESPONSE: Schema = {
    "type": "object",
    "properties": {
        **{name: nullable(CHAT[name].schema) for name in SAME},
        "model": CHAT["model"].schema,
        "input": any_of(_GIVEN, list_of({}, 1)),
        "instructions": {},
        "max_output_tokens": nullable(CHAT["max_completion_tokens"].schema),
        "tools": nullable(list_of(OBJECT)),
        "tool_choice": {},
        "text": nullable(OBJECT),
        "reasoning": nullable(OBJECT),
        "truncation": {},
        "include": {},
        "stream_options": {},
        "store": _OFF,
        **dict.fromkeys(UNSUPPORTED, _OFF),
    },
    "required": ["model", "input"],
    "additionalProperties": False,
}
