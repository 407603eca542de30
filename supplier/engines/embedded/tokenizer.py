"""Text to tokens and back: a tokenizer.json, and what one token is in bytes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from supplier.engines.embedded.errors import ModelError

__all__ = ["TextTokenizer", "load_tokenizer"]

SPACE_MARK = "\u2581"  # what SentencePiece writes for a space
REPLACEMENT = "\ufffd"


def load_tokenizer(directory: Path) -> "TextTokenizer":
    """Return the tokenizer of a Hugging Face directory; ModelError where it cannot be read."""
    try:
        source = (directory / "tokenizer.json").read_text(encoding="utf-8")
        return TextTokenizer(Tokenizer.from_str(source), json.loads(source))
    except (OSError, ValueError) as error:
        raise ModelError(f"tokenizer.json cannot be read: {error}") from error


class TextTokenizer:
    """A tokenizer and its tokens' bytes."""

    def __init__(self, tokenizer: Tokenizer, description: dict[str, Any]) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.is_byte_level = _is_byte_level(description.get("decoder"))
        added = tokenizer.get_added_tokens_decoder()
        self._added = {index: token.content for index, token in added.items()}
        self.special_ids = frozenset(index for index, token in added.items() if token.special)
        self._bytes_of_character = _byte_alphabet()
        self.longest_token = max(map(len, tokenizer.get_vocab()), default=1)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of token ids; bytes that are no UTF-8 become U+FFFD."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes one token stands for; b"" for an id the tokenizer does not know."""
        added = self._added.get(token)
        if added is not None:
            return added.encode()
        written = self._tokenizer.id_to_token(token)
        if written is None:
            return b""
        if self.is_byte_level:
            return self._from_alphabet(written)
        if len(written) == 6 and written.startswith("<0x") and written.endswith(">"):
            return bytes([int(written[3:5], 16)])
        return str(written).replace(SPACE_MARK, " ").encode()

    def token_text(self, token: int) -> str:
        """Return one token as text; a part of a character shows as U+FFFD."""
        return self.token_bytes(token).decode(errors="replace")

    def _from_alphabet(self, written: str) -> bytes:
        values = [self._bytes_of_character.get(character) for character in written]
        if None in values:
            return written.encode()
        return bytes(value for value in values if value is not None)


def _is_byte_level(decoder: dict[str, Any] | None) -> bool:
    """Return whether decoding only joins bytes (the ByteLevel decoder alone)."""
    if decoder is None:
        return False
    if decoder.get("type") == "Sequence":
        parts = decoder.get("decoders", [])
        return len(parts) == 1 and _is_byte_level(parts[0])
    return decoder.get("type") == "ByteLevel"


def _byte_alphabet() -> dict[str, int]:
    """Return GPT-2's printable character for each byte, turned around: character to byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    alphabet.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return alphabet
