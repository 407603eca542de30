"""Bytes near those of a corpus: hypothesis draws a short program, and this carries it out.

One draw an input keeps a million of them cheap, and a program shrinks well: its shortest form is
the sample itself.
"""

import re
from collections.abc import Sequence

from hypothesis import strategies as st

STEP = 6
"""Bytes of one edit: its kind, a place of two bytes, a length, two bytes of argument."""
STEPS_MAX = 8
TOKENS = (
    b"\x00", b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80", b'"', b"{", b"}", b"[", b"]", b"{}",
    b"[]", b"null", b"true", b"-1", b"1e999", b"0.5", b"9223372036854775808", b'""', b'"\\ud800"',
    b",", b":", b"\r\n", b"\n\n", b"\n", b"data: ", b": lode-response ", b"data: [DONE]\n\n",
    b'{"error":1}', b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n",
    b"=", b"\xc3\x28", b"[" * 40,
)  # fmt: skip
"""What formats here are sensitive to."""
VALUES = (
    b"null", b"true", b"false", b"0", b"-1", b"1.5", b"18446744073709551616", b'""', b'"x"', b"[]",
    b"{}", b"[null]", b"[[]]", b'{"x":[{}]}', b"[1]", b"[true]",
)  # fmt: skip
"""What a value of JSON is replaced by."""
VALUE_BEGINS = re.compile(rb"[:\[,]")


def edit(sample: bytes, others: Sequence[bytes], program: bytes) -> bytes:
    """The sample after every step of the program."""
    data = bytearray(sample)
    for at in range(0, len(program) - STEP + 1, STEP):
        kind, high, low, length, first, second = program[at : at + STEP]
        place = (high << 8 | low) % (len(data) + 1)
        match kind % 9:
            case 0:
                data[place : place + 1] = bytes([first])
            case 1:
                data[place : place + 1] = bytes(
                    [each ^ 1 << first % 8 for each in data[place:][:1]]
                )
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = TOKENS[first % len(TOKENS)]
            case 4:
                data[place : place + length % 16] = TOKENS[first % len(TOKENS)]
            case 5:
                other = others[first % len(others)]
                start = second * len(other) // 256
                data[place:place] = other[start : start + length]
            case 6:
                data[place:place] = data[place : place + length]
            case _:
                _replace_value(data, place, VALUES[first % len(VALUES)])
    return bytes(data)


def _replace_value(data: bytearray, place: int, value: bytes) -> None:
    """Put a value in the place of the first one of JSON after `place`, whatever that holds."""
    found = VALUE_BEGINS.search(data, place)
    if found is None:
        return
    depth, end = 0, found.end()
    while end < len(data):
        depth += (data[end] in b"[{") - (data[end] in b"]}")
        if depth < 0 or (depth == 0 and data[end] in b","):
            break
        end += 1
    data[found.end() : end] = value


def mutants(corpus: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A sample of the corpus, or what some edits make of it."""
    programs = st.binary(min_size=1, max_size=1 + STEP * STEPS_MAX)
    return programs.map(lambda program: edit(corpus[program[0] % len(corpus)], corpus, program[1:]))
