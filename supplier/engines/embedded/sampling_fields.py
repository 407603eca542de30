"""Reads how tokens are to be drawn and where to stop, from the fields of a request."""

from typing import Any

from supplier.engines.embedded.config import GenerationDefaults
from supplier.engines.embedded.errors import RequestError
from supplier.engines.embedded.fields import Fields
from supplier.engines.embedded.sampler import SamplingParams

__all__ = ["read_sampling", "read_stops"]

STOPS_MAX = 16
STOP_CHARACTERS_MAX = 1024
LOGIT_BIASES_MAX = 1024
GREEDY_BELOW = 1e-5


def read_sampling(fields: Fields, own: GenerationDefaults, vocabulary: int) -> SamplingParams:
    """Return the sampling parameters, the model's `own` where the request states none."""
    temperature = fields.number("temperature", 0.0, 2.0, own.temperature)
    top_k = fields.integer("top_k", -1, vocabulary)
    return SamplingParams(
        temperature=temperature if temperature >= GREEDY_BELOW else 0.0,
        top_p=fields.number("top_p", 0.0, 1.0, own.top_p),
        top_k=max(0, own.top_k if top_k is None else top_k),
        min_p=fields.number("min_p", 0.0, 1.0, own.min_p),
        presence_penalty=fields.number("presence_penalty", -2.0, 2.0, 0.0),
        frequency_penalty=fields.number("frequency_penalty", -2.0, 2.0, 0.0),
        repetition_penalty=fields.number("repetition_penalty", 0.01, 100.0, own.repetition_penalty),
        logit_bias=_read_logit_bias(fields.get("logit_bias"), vocabulary),
        seed=fields.integer("seed", -(1 << 63), (1 << 63) - 1),
    )


def read_stops(value: Any) -> tuple[str, ...]:
    """Return stop strings from a string, a list or nothing; RequestError otherwise."""
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > STOPS_MAX:
        raise RequestError(f"stop must be a string or a list of at most {STOPS_MAX}", "stop")
    for stop in stops:
        if not isinstance(stop, str) or not 1 <= len(stop) <= STOP_CHARACTERS_MAX:
            raise RequestError(f"stop strings have 1 to {STOP_CHARACTERS_MAX} characters", "stop")
    return tuple(stops)


def _read_logit_bias(value: Any, vocabulary: int) -> dict[int, float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > LOGIT_BIASES_MAX:
        raise RequestError(
            f"logit_bias must be an object of at most {LOGIT_BIASES_MAX} tokens", "logit_bias"
        )
    fields = Fields(value, value.keys())
    for name in value:
        if not (name.isascii() and name.isdigit() and len(name) < 10 and int(name) < vocabulary):
            raise RequestError(f"logit_bias holds {name[:32]!r}, no token id", "logit_bias")
    return {int(name): fields.number(name, -100.0, 100.0, 0.0) for name in value}
