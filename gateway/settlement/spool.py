"""Receipts owed and not durable yet, written before an answer's last byte: a kill loses none.

A write that is not synced is in the kernel's hands: it outlives the process, not the machine. Two
files take turns: while the debts in one are made durable in the log, new ones gather in the other,
and then the first is emptied. A record is 4 bytes length, 4 bytes crc32, and the payload.
"""

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from zlib import crc32

from gateway.settlement.outbox import BILLED, OWED, Outbox, decode_owed
from node.append_log import AppendLog

_HEAD = struct.Struct(">II")
_NAMES = ("even.spool", "odd.spool")


class Spool:
    """Two files under one directory; one process writes them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._files = tuple(os.open(directory / name, flags, 0o600) for name in _NAMES)
        self._turn = 0

    def add(self, payload: bytes) -> None:
        """Keep a record against a kill; it is in the kernel's hands on return (else OSError)."""
        record = _HEAD.pack(len(payload), crc32(payload)) + payload
        file = self._files[self._turn]
        written = os.write(file, record)
        if written != len(record):  # a torn record would hide those after it
            os.ftruncate(file, os.fstat(file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def turn(self) -> None:
        """Let what comes from now on gather apart from what is here."""
        self._turn ^= 1

    def settle(self) -> None:
        """Forget what came before the last turn: it is durable elsewhere."""
        os.ftruncate(self._files[self._turn ^ 1], 0)

    def clear(self) -> None:
        """Forget everything."""
        for file in self._files:
            os.ftruncate(file, 0)

    def replay(self) -> Iterator[bytes]:
        """The records that are here; a torn tail ends a file."""
        for file in self._files:
            yield from _scan(os.pread(file, os.fstat(file).st_size, 0))

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _scan(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        payload = data[at - length : at]
        if len(payload) != length or crc32(payload) != checksum:
            return
        yield payload


async def restore_outbox(outbox: Outbox, log: AppendLog, spool: Spool) -> int:
    """Rebuild the outbox from the log and the spool; returns how many debts the log had not.

    They are made durable first. Their answers are gone, so that the signed counts stand.
    """
    outbox.replay(log.replay())
    spooled = {decode_owed(each).response_hash: each for each in spool.replay()}
    logged = {decode_owed(each).response_hash for each in log.replay() if each[0] in (OWED, BILLED)}
    missing = [each for digest, each in spooled.items() if digest not in logged]
    await log.append_many(missing)
    outbox.replay(missing)
    spool.clear()
    return len(missing)
