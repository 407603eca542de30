"""Text as it grows, token by token: never half a character, and all of it in the end.

Joined, the pieces equal the decoding of all tokens at once.
"""

import codecs
from typing import Protocol

from supplier.engines.embedded.tokenizer import REPLACEMENT, TextTokenizer

__all__ = ["Detokenizer", "make_detokenizer"]


class Detokenizer(Protocol):
    """Takes one token at a time; returns the text that has become certain."""

    def push(self, token: int) -> str:
        """Return the text this token completes; "" where it ends inside a character."""

    def finish(self) -> str:
        """Return what was held back, broken bytes as U+FFFD."""


def make_detokenizer(tokenizer: TextTokenizer, *, skip_special_tokens: bool) -> Detokenizer:
    """Return the detokenizer that suits the tokenizer's decoder."""
    if tokenizer.is_byte_level:
        return ByteDetokenizer(tokenizer, skip_special_tokens)
    return WindowDetokenizer(tokenizer, skip_special_tokens)


class ByteDetokenizer:
    """For byte-level vocabularies, where decoding is joining bytes: constant work per token."""

    def __init__(self, tokenizer: TextTokenizer, skip_special_tokens: bool) -> None:
        self._tokenizer = tokenizer
        self._skipped = tokenizer.special_ids if skip_special_tokens else frozenset()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """Return the text this token completes."""
        if token in self._skipped:
            return ""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """Return U+FFFD for each broken piece that was held back."""
        return self._decoder.decode(b"", final=True)


class WindowDetokenizer:
    """For any other decoder: decodes a short window twice and returns the difference.

    The window starts where the text was last known to end on a whole character.
    """

    def __init__(self, tokenizer: TextTokenizer, skip_special_tokens: bool) -> None:
        self._tokenizer = tokenizer
        self._skip = skip_special_tokens
        self._tokens: list[int] = []
        self._given = 0  # of the tokens in the window, how many have been given out

    def push(self, token: int) -> str:
        """Return the text this token completes."""
        self._tokens.append(token)
        before, now = self._decode(self._given), self._decode(len(self._tokens))
        if now.endswith(REPLACEMENT) or len(now) <= len(before):
            return ""
        self._tokens = self._tokens[self._given :]
        self._given = len(self._tokens)
        return now[len(before) :]

    def finish(self) -> str:
        """Return what was held back."""
        before, now = self._decode(self._given), self._decode(len(self._tokens))
        self._given = len(self._tokens)
        return now[len(before) :]

    def _decode(self, count: int) -> str:
        return self._tokenizer.decode(self._tokens[:count], skip_special_tokens=self._skip)
