"""The durable log: what was acknowledged is there, whatever happens to process and file."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from node.append_log import AppendLog, CorruptLog, LogFailed, LogLocked, read_segments
from node.log_format import HEAD_BYTES, RECORD_BYTES_MAX, frame
from tests.node.log_writer import payload
from tests.node.loops import on_loops

ROOT = Path(__file__).parents[2]


async def write(path: Path, *batches: list[bytes]) -> bytes:
    """Append each batch in a write of its own; return the segment's bytes."""
    async with AppendLog(path) as log:
        for batch in batches:
            await log.append_many(batch)
    return (path / "main.log").read_bytes()


async def read(path: Path) -> list[bytes]:
    async with AppendLog(path) as log:
        return list(log.replay())


@on_loops
async def test_what_is_appended_is_replayed_in_order(tmp_path: Path) -> None:
    records = [b"", b"a", b"\0" * 100, os.urandom(200_000)]
    async with AppendLog(tmp_path) as log:
        await log.append_many([])
        await log.append_many(records)
        await asyncio.gather(*(log.append(b"%d" % i) for i in range(1000)))
        expected = records + [b"%d" % i for i in range(1000)]
        assert list(log.replay()) == expected
    assert await read(tmp_path) == expected


@on_loops
async def test_concurrent_appends_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = 0
    real = os.fdatasync

    def count(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", count)
    async with AppendLog(tmp_path) as log:
        await asyncio.gather(*(log.append(b"x") for _ in range(1000)))
    assert syncs in {1, 2}


@on_loops
async def test_record_size_edges(tmp_path: Path) -> None:
    async with AppendLog(tmp_path) as log:
        await log.append(b"x" * RECORD_BYTES_MAX)
        with pytest.raises(ValueError, match="longer"):
            await log.append(b"x" * (RECORD_BYTES_MAX + 1))
        assert [len(r) for r in log.replay()] == [RECORD_BYTES_MAX]


def test_a_tail_torn_at_any_byte_loses_only_itself(tmp_path: Path) -> None:
    data = asyncio.run(write(tmp_path, [b"one", b"two"], [b"three"]))
    ends = {HEAD_BYTES + 11: 1, HEAD_BYTES + 22: 2, HEAD_BYTES + 35: 3}
    assert max(ends) == len(data)
    for cut in range(len(data) + 1):
        (tmp_path / "main.log").write_bytes(data[:cut])
        whole = max((count for end, count in ends.items() if end <= cut), default=0)
        records = [b"one", b"two", b"three"][:whole]
        assert asyncio.run(read(tmp_path)) == records
        asyncio.run(write(tmp_path, [b"more"]))
        assert asyncio.run(read(tmp_path)) == [*records, b"more"]


def test_a_flipped_bit_before_the_last_write_is_corruption(tmp_path: Path) -> None:
    data = asyncio.run(write(tmp_path, [b"one", b"two"], [b"three"]))
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << random.randrange(8)
        (tmp_path / "main.log").write_bytes(damaged)
        if at < HEAD_BYTES + 22:  # the head, or a record that was durable before "three"
            with pytest.raises(CorruptLog):
                asyncio.run(read(tmp_path))
            assert (tmp_path / "main.log").read_bytes() == damaged  # nothing was "repaired"
        else:
            assert asyncio.run(read(tmp_path)) == [b"one", b"two"]


def test_zeros_at_the_end_are_a_torn_tail(tmp_path: Path) -> None:
    data = asyncio.run(write(tmp_path, [b"one"]))
    (tmp_path / "main.log").write_bytes(data + bytes(5000))
    assert asyncio.run(read(tmp_path)) == [b"one"]


def test_a_payload_cannot_pose_as_a_record(tmp_path: Path) -> None:
    forged = frame(b"", b"evil", first=True)
    data = asyncio.run(write(tmp_path, [b"one"], [forged * 3, b"two"]))
    assert crc32(b"") == 0
    (tmp_path / "main.log").write_bytes(data[:-1])
    assert asyncio.run(read(tmp_path)) == [b"one", forged * 3]
    (tmp_path / "main.log").write_bytes(data[: HEAD_BYTES + 11 + 8 + 20])
    assert asyncio.run(read(tmp_path)) == [b"one"]


@on_loops
async def test_segments_rotate_by_name_and_go_away(tmp_path: Path) -> None:
    async with AppendLog(tmp_path, segment="1") as log:
        first = asyncio.create_task(log.append(b"one"))
        await asyncio.sleep(0)
        await log.rotate("2")
        await first
        await log.append(b"two")
        await log.rotate("1")
        await log.append(b"three")
        assert log.segments() == ("1", "2")
        assert list(log.replay()) == [b"one", b"three", b"two"]
        assert list(log.replay("2")) == [b"two"]
        with pytest.raises(ValueError, match="open"):
            log.delete("1")
        log.delete("2")
        assert log.segments() == ("1",)
        for name in ("", "../x", "a/b", ".hidden", "x" * 129):
            with pytest.raises(ValueError, match="segment name"):
                await log.rotate(name)
        await log.append(b"four")


@on_loops
async def test_a_log_has_one_writer(tmp_path: Path) -> None:
    async with AppendLog(tmp_path):
        with pytest.raises(LogLocked):
            AppendLog(tmp_path)
    async with AppendLog(tmp_path) as log:
        await log.close()
        with pytest.raises(LogFailed):
            await log.append(b"late")


@on_loops
async def test_a_failed_sync_is_never_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AppendLog(tmp_path) as log:
        await log.append(b"safe")

        def fail(descriptor: int) -> None:
            raise OSError(28, "no space left on device")

        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(LogFailed):
            await log.append(b"unsure")
        monkeypatch.undo()
        with pytest.raises(LogFailed):  # the pages may be gone: only reopening tells
            await log.append(b"after")
    assert (await read(tmp_path))[0] == b"safe"


def test_every_acknowledged_record_outlives_kill_9(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    start = 0
    for _ in range(6):
        command = [sys.executable, "-m", "tests.node.log_writer", str(tmp_path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(random.randrange(1, 400))]
            writer.kill()
            lines += writer.stdout.read().split(b"\n")[:-1]
        acknowledged.update(map(int, lines))
        records = asyncio.run(read(tmp_path))
        kept = [int(record.split(b":", 1)[0]) for record in records]
        assert all(record == payload(n) for n, record in zip(kept, records, strict=True))
        assert len(set(kept)) == len(kept)
        assert acknowledged <= set(kept)
        start = max(kept) + 1


@on_loops
async def test_a_log_is_read_beside_its_writer(tmp_path: Path) -> None:
    async with AppendLog(tmp_path, segment="a") as log:
        await log.append(b"1")
        await log.rotate("b")
        await log.append_many([b"2", b"3"])
        with (tmp_path / "b.log").open("ab") as file:
            file.write(b"half a rec")  # as a write is seen while it is made

        found = {name: list(payloads) for name, payloads in read_segments(tmp_path)}

        assert found == {"a": [b"1"], "b": [b"2", b"3"]}
        reader = read_segments(tmp_path)
        next(reader)
        log.delete("a")
        (tmp_path / "b.log").unlink()
        assert list(reader) == []  # a segment that is gone by now is passed over
    assert list(read_segments(tmp_path / "nowhere")) == []
