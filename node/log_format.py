"""The records of an append-only log, and how damage is told from a torn tail.

    record = be32(first << 31 | length) || be32(crc32(those four bytes || payload)) || payload

`first` marks the first record of a write. A write begins only after the one before it was synced,
so damage followed by a later `first` record is damage to durable data and raises CorruptLog;
damage with none after it lies in the last, unacknowledged write and is cut off.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

HEADER = struct.Struct(">II")
FIRST = 1 << 31
RECORD_BYTES_MAX = 16 << 20


class AppendLogError(Exception):
    """Anything that goes wrong with a log."""


class CorruptLog(AppendLogError):
    """Durable data of a segment is damaged; nothing was changed."""


def frame(payload: bytes, first: bool) -> bytes:
    """Return the record of `payload`."""
    flag = FIRST if first else 0
    head = (flag | len(payload)).to_bytes(4, "big")
    return b"%b%b%b" % (head, crc32(payload, crc32(head)).to_bytes(4, "big"), payload)


def find_end(path: Path) -> int:
    """Return the offset behind the last whole record; raises CorruptLog."""
    return max((end for _, end in scan(path)), default=0)


def _parse(data: memoryview, at: int) -> tuple[bytes, int, bool] | None:
    """Return payload, end and first-flag of the valid record at `at`, None where there is none."""
    if at + HEADER.size > len(data):
        return None
    word, checksum = HEADER.unpack_from(data, at)
    length = word & ~FIRST
    end = at + HEADER.size + length
    if length > RECORD_BYTES_MAX or end > len(data):
        return None
    payload = data[at + HEADER.size : end]
    if crc32(payload, crc32(data[at : at + 4])) != checksum:
        return None
    return bytes(payload), end, bool(word & FIRST)


def scan(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield each payload of a segment and the offset behind it; raises CorruptLog."""
    data = memoryview(path.read_bytes())
    at = 0
    while (record := _parse(data, at)) is not None:
        payload, at, _ = record
        yield payload, at
    for later in range(at + 1, len(data) - HEADER.size + 1):
        if data[later] & 0x80 and (found := _parse(data, later)) is not None and found[2]:
            raise CorruptLog(f"{path.name}: damaged at {at}, durable data follows at {later}")
