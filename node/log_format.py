"""The records of an append-only log, and how damage is told from a torn tail.

    segment = head || record*,  head = "LODELOG1" || 8 random bytes || be32(crc32 of these 16)
    record  = be32(first << 31 | length) || be32(crc) || payload
    crc     = crc32(head || the four bytes of flag and length || payload)

`first` marks the first record of a write. A write begins only after the one before it was synced,
so damage followed by a later `first` record is damage to durable data and raises CorruptLog;
damage with none after it lies in the last, unacknowledged write and is cut off. The random bytes
keep whoever chooses a payload from hiding a record in it that would turn the one into the other.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

HEADER = struct.Struct(">II")
FIRST = 1 << 31
MAGIC = b"LODELOG1"
SALT_BYTES = 8
HEAD_BYTES = len(MAGIC) + SALT_BYTES + 4
RECORD_BYTES_MAX = 16 << 20


class AppendLogError(Exception):
    """Anything that goes wrong with a log."""


class CorruptLog(AppendLogError):
    """Durable data of a segment is damaged; nothing was changed."""


def new_head() -> bytes:
    """Return the head of a new segment."""
    start = MAGIC + os.urandom(SALT_BYTES)
    return start + crc32(start).to_bytes(4, "big")


def frame(head: bytes, payload: bytes, first: bool) -> bytes:
    """Return the record of `payload` in the segment that begins with `head`."""
    word = ((FIRST if first else 0) | len(payload)).to_bytes(4, "big")
    checksum = crc32(payload, crc32(word, crc32(head)))
    return b"%b%b%b" % (word, checksum.to_bytes(4, "big"), payload)


def inspect(path: Path) -> tuple[bytes | None, int]:
    """Return a segment's head (None where it was never finished) and the end of its records.

    Raises CorruptLog.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not _is_head(head) and path.stat().st_size <= HEAD_BYTES:
        return None, 0  # a head is synced before the first record is written
    return head, max((end for _, end in scan(path)), default=HEAD_BYTES)


def _is_head(head: bytes) -> bool:
    return head.startswith(MAGIC) and crc32(head[:-4]).to_bytes(4, "big") == head[-4:]


def _parse(data: memoryview, seed: int, at: int) -> tuple[bytes, int, bool] | None:
    """Return payload, end and first-flag of the valid record at `at`, None where there is none."""
    if at + HEADER.size > len(data):
        return None
    word, checksum = HEADER.unpack_from(data, at)
    length = word & ~FIRST
    end = at + HEADER.size + length
    if length > RECORD_BYTES_MAX or end > len(data):
        return None
    payload = data[at + HEADER.size : end]
    if crc32(payload, crc32(data[at : at + 4], seed)) != checksum:
        return None
    return bytes(payload), end, bool(word & FIRST)


def scan(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield each payload of a segment and the offset behind it; raises CorruptLog."""
    data = memoryview(path.read_bytes())
    if not _is_head(bytes(data[:HEAD_BYTES])):
        if len(data) <= HEAD_BYTES:
            return
        raise CorruptLog(f"{path.name}: its head is damaged, or it is no log")
    at, seed = HEAD_BYTES, crc32(data[:HEAD_BYTES])
    while (record := _parse(data, seed, at)) is not None:
        payload, at, _ = record
        yield payload, at
    for later in range(at + 1, len(data) - HEADER.size + 1):
        if data[later] & 0x80 and (found := _parse(data, seed, later)) is not None and found[2]:
            raise CorruptLog(f"{path.name}: damaged at {at}, durable data follows at {later}")
