"""A service's tokenizer, from hostile bytes: lengths of texts, and what ids decode to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tokenizers import Tokenizer

from relay_mining.errors import RelayMiningError

_PROBE = "The count of a probe, 0123."


class RecountError(RelayMiningError):
    """The tokenizer or the text cannot be counted within the limits."""


class TokenCounter:
    """A loaded tokenizer; threads may share one.

    `tokenizer_bytes_max` bounds its file, `text_chars_max` each text and list of ids. Truncation
    and padding that the file asks for are not obeyed.

    Raises:
        RecountError: the tokenizer is too long or does not load.
    """

    __slots__ = ("_special_ids", "_text_chars_max", "_tokenizer")

    def __init__(
        self, tokenizer_json: bytes, tokenizer_bytes_max: int, text_chars_max: int
    ) -> None:
        if len(tokenizer_json) > tokenizer_bytes_max:
            raise RecountError(f"a tokenizer of {len(tokenizer_json)} bytes")
        self._text_chars_max = text_chars_max
        with _blaming_the_tokenizer():
            self._tokenizer = Tokenizer.from_buffer(tokenizer_json)
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            self._tokenizer.encode(_PROBE)
        added = self._tokenizer.get_added_tokens_decoder()
        self._special_ids = frozenset(id_ for id_, token in added.items() if token.special)

    def count(self, text: str, *, add_special_tokens: bool = False) -> int:
        """Return the tokens of a text.

        Raises:
            RecountError: the text is too long, or the tokenizer fails.
        """
        if len(text) > self._text_chars_max:
            raise RecountError(f"a text of {len(text)} characters")
        if not text and not add_special_tokens:
            return 0
        with _blaming_the_tokenizer():
            return len(self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def is_special(self, token_id: int) -> bool:
        """Return whether an id is a special token's."""
        return token_id in self._special_ids

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str | None:
        """Return what ids stand for; None where they are too many or one stands for nothing.

        Raises:
            RecountError: the tokenizer fails.
        """
        if len(ids) > self._text_chars_max or any(not 0 <= id_ < 2**32 for id_ in ids):
            return None
        if any(self._tokenizer.id_to_token(id_) is None for id_ in ids):
            return None
        with _blaming_the_tokenizer():
            decoded = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
            return str(decoded)


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
