"""Counting tokens again, from the service's own tokenizer and template, both hostile bytes.

The gateway recounts before it signs a receipt, and pays for the lesser of the two counts:

* output with token ids: their number, if their decoding equals the text. A stop string may have
  cut the text shorter than the decoding, the last character may still have been incomplete, and
  one special token may end the ids; other special tokens decode to nothing and are not counted for
  free: with them the ids prove nothing. A text can be cut into more tokens than its tokenizer
  would, so ids count for at most what encoding again gives, plus the tolerance.
* output without ids: the text encoded again. Sampling does not always take the tokenizer's own cut,
  hence a tolerance before a supplier is held to have lied.
* input: the messages through the chat template, or the prompt, encoded. Exact.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tokenizers import Tokenizer

from relay_mining.errors import RelayMiningError
from relay_mining.template import ChatTemplate, TemplateLimits

_INCOMPLETE = "\ufffd"
_PROBE = "The count of a probe, 0123."


class RecountError(RelayMiningError):
    """The tokenizer or the text cannot be counted within the limits."""


@dataclass(frozen=True, slots=True)
class RecountLimits:
    """What a recount may take, and how far an honest count may be off.

    The tolerance of an encoded count `c` is `tolerance_tokens + c * tolerance_bps / 10000`, rounded
    down (against the supplier).
    """

    tokenizer_bytes_max: int = 64 << 20
    text_chars_max: int = 8 << 20
    tolerance_tokens: int = 8
    tolerance_bps: int = 1_000
    template: TemplateLimits = field(default_factory=TemplateLimits)


@dataclass(frozen=True, slots=True)
class OutputCount:
    """Output tokens of one answer, and whether token ids proved them."""

    tokens: int
    is_exact: bool
    tokens_max: int
    """The most an honest supplier can have counted: the tolerance is in it."""


class Recounter:
    """The tokenizer and chat template of one service; threads may share one.

    Raises:
        RecountError: the tokenizer is too long or does not load.
        TemplateError: the template is refused.
    """

    __slots__ = ("_limits", "_special_ids", "_template", "_tokenizer")

    def __init__(
        self,
        tokenizer_json: bytes,
        chat_template: str | None,
        special_tokens: Mapping[str, str] | None = None,
        limits: RecountLimits | None = None,
    ) -> None:
        self._limits = limits or RecountLimits()
        self._tokenizer = _load(tokenizer_json, self._limits)
        added = self._tokenizer.get_added_tokens_decoder()
        self._special_ids = frozenset(id_ for id_, token in added.items() if token.special)
        self._template = (
            None
            if chat_template is None
            else ChatTemplate(chat_template, special_tokens, self._limits.template)
        )

    def count_output(
        self, text: str, token_ids: Sequence[int] | None, stop: Sequence[str] = ()
    ) -> int:
        """Return the output tokens to pay for: see `recount_output`."""
        return self.recount_output(text, token_ids, stop).tokens

    def recount_output(
        self, text: str, token_ids: Sequence[int] | None, stop: Sequence[str] = ()
    ) -> OutputCount:
        """Return the output tokens of one answer's whole text, and what proves them.

        `text` is all that was generated (reasoning and tool calls as the model wrote them), `stop`
        the request's stop strings. An answer cut short by a client counts as far as it was sent.

        Raises:
            RecountError: the text is too long.
        """
        encoded = len(self._encode(text, add_special_tokens=False))
        most = encoded + self.tolerance(encoded)
        if token_ids is None or not self._decodes_to(token_ids, text, stop):
            return OutputCount(encoded, False, most)
        count = len(token_ids)
        return OutputCount(min(count, most), count <= most, min(count, most))

    def count_prompt(
        self,
        prompt: str | Sequence[int] | Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        now: datetime | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """Return the input tokens of a request, exactly as its engine sees them.

        `prompt` is a chat's messages (rendered, then encoded as it is), a completion's text
        (encoded with the tokenizer's own special tokens), or token ids, each of them one.

        Raises:
            RecountError: too long, or messages for a service without a chat template.
            TemplateError: the template refuses the messages or spends its limits.
        """
        if isinstance(prompt, str):
            return len(self._encode(prompt, add_special_tokens=True))
        if all(type(token) is int for token in prompt):
            return len(prompt)
        if self._template is None:
            raise RecountError("messages for a service without a chat template")
        messages = [_plain(message) for message in prompt]
        rendered = self._template.render(
            messages, add_generation_prompt=add_generation_prompt, now=now, extra=extra
        )
        return len(self._encode(rendered, add_special_tokens=False))

    def tolerance(self, encoded: int) -> int:
        """Return by how many tokens an honest count may exceed an encoded one."""
        return self._limits.tolerance_tokens + encoded * self._limits.tolerance_bps // 10_000

    def _encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        if len(text) > self._limits.text_chars_max:
            raise RecountError(f"a text of {len(text)} characters")
        if not text and not add_special_tokens:
            return []
        with _blaming_the_tokenizer():
            return list(self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def _decodes_to(self, ids: Sequence[int], text: str, stop: Sequence[str]) -> bool:
        if len(ids) > self._limits.text_chars_max or any(not 0 <= id_ < 2**32 for id_ in ids):
            return False
        if any(self._tokenizer.id_to_token(id_) is None for id_ in ids):
            return False  # what no token stands for decodes to nothing
        spoken = ids[:-1] if ids and ids[-1] in self._special_ids else ids
        if any(id_ in self._special_ids for id_ in spoken):
            return False
        with _blaming_the_tokenizer():
            decoded = self._tokenizer.decode(list(spoken), skip_special_tokens=False)
        if decoded in (text, text + _INCOMPLETE) or decoded.rstrip(_INCOMPLETE) == text:
            return True
        rest = decoded[len(text) :]
        return decoded.startswith(text) and any(rest.startswith(mark) for mark in stop if mark)


def _plain(message: Any) -> dict[str, Any]:
    """A message as a template expects it: parts of text joined, as engines do."""
    if not isinstance(message, Mapping):
        raise RecountError("a message is no object")
    plain = dict(message)
    content = plain.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        if len(parts) != len(content) or not all(isinstance(part, str) for part in parts):
            raise RecountError("a part of a message that is no text")
        plain["content"] = "\n".join(str(part) for part in parts)
    return plain


def _load(tokenizer_json: bytes, limits: RecountLimits) -> Tokenizer:
    if len(tokenizer_json) > limits.tokenizer_bytes_max:
        raise RecountError(f"a tokenizer of {len(tokenizer_json)} bytes")
    with _blaming_the_tokenizer():
        tokenizer = Tokenizer.from_buffer(tokenizer_json)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode(_PROBE)
        return tokenizer


@contextmanager
def _blaming_the_tokenizer() -> Iterator[None]:
    """Turn what the tokenizer library raises, a Rust panic included, into a RecountError.

    Neither has a class that can be imported; interrupts and exits pass.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise RecountError(f"the tokenizer fails: {error}") from error
