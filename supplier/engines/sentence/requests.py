"""Reads OpenAI embeddings requests into token ids, and writes vectors as its answers."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from supplier.engines.embedded.errors import ContextLengthError, ModelNotFoundError, RequestError
from supplier.engines.embedded.fields import Fields, read_token_ids
from supplier.engines.embedded.safetensors import Floats
from supplier.engines.embedded.tokenizer import TextTokenizer
from supplier.engines.sentence.config import SentenceConfig

__all__ = ["EmbeddingAsk", "EmbeddingReader", "write_answer"]

KNOWN = {"model", "input", "encoding_format", "dimensions", "user"}
FORMATS = ("float", "base64")
CHARACTERS_PER_TOKEN_MAX = 128
"""A text with more than so many for each token of the context is refused unread."""


@dataclass(frozen=True, slots=True)
class EmbeddingAsk:
    """The token ids of each input, and whether vectors are wanted as base64."""

    inputs: tuple[tuple[int, ...], ...]
    is_base64: bool

    @property
    def tokens(self) -> int:
        """Input tokens, the special ones included."""
        return sum(map(len, self.inputs))


@dataclass(frozen=True, slots=True)
class EmbeddingReader:
    """Knows the model's limits; `inputs_max` bounds one request."""

    model_name: str
    tokenizer: TextTokenizer
    config: SentenceConfig
    inputs_max: int = 2048

    def read(self, values: dict[str, Any]) -> EmbeddingAsk:
        """Return a request's inputs as token ids; RequestError where it is refused."""
        fields = Fields(values, KNOWN)
        name = fields.text("model")
        if name is not None and name != self.model_name:
            raise ModelNotFoundError(f"The model `{name[:128]}` does not exist.", "model")
        form = fields.text("encoding_format") or "float"
        if form not in FORMATS:
            raise RequestError("encoding_format must be float or base64", "encoding_format")
        width = self.config.hidden
        if (fields.integer("dimensions", 1, 1 << 16) or width) != width:
            raise RequestError(
                f"this model's vectors have {width} dimensions and no other", "dimensions"
            )
        inputs = tuple(self._read_input(each) for each in self._split(fields.get("input")))
        return EmbeddingAsk(inputs, form == "base64")

    def _split(self, value: Any) -> list[Any]:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list) or not value:
            raise RequestError("input must be text, token ids, or a list of either", "input")
        inputs = [value] if isinstance(value[0], int) else value
        if len(inputs) > self.inputs_max:
            raise RequestError(f"at most {self.inputs_max} inputs at once", "input")
        return inputs

    def _read_input(self, value: Any) -> tuple[int, ...]:
        context = self.config.context
        if isinstance(value, str):
            if len(value) > CHARACTERS_PER_TOKEN_MAX * context:
                raise self._too_long(f"{len(value)} characters")
            ids = tuple(self.tokenizer.encode(value, add_special_tokens=True))
        else:
            ids = read_token_ids(value, "input", self.config.vocabulary, 1 << 20)
        if len(ids) > context:
            raise self._too_long(f"{len(ids)} tokens")
        if not ids:
            raise RequestError("an input has no tokens", "input")
        return ids

    def _too_long(self, size: str) -> ContextLengthError:
        return ContextLengthError(
            f"This model's maximum context length is {self.config.context} tokens; an input has "
            f"{size}.",
            "input",
        )


def write_answer(ask: EmbeddingAsk, vectors: Sequence[Floats], model_name: str) -> dict[str, Any]:
    """Return OpenAI's answer: a vector for each input, in its order, and the tokens used."""
    return {
        "object": "list",
        "model": model_name,
        "data": [
            {"object": "embedding", "index": index, "embedding": _write_vector(ask, vector)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": ask.tokens, "total_tokens": ask.tokens},
    }


def _write_vector(ask: EmbeddingAsk, vector: Floats) -> str | list[float]:
    if ask.is_base64:
        return base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode()
    return [float(each) for each in vector]
