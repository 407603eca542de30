"""The machine: its disk, its clock, its port, its limits."""

import os
import resource
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from supplier.operation.doctor.finding import Finding, failed, ok, warning
from supplier.settings import ServerSettings

GIB = 1 << 30
DISK_FREE_MIN = GIB // 4
DISK_FREE_LOW = 2 * GIB
SYNC_SAMPLES = 15
SYNC_BYTES = 4096
SYNC_S_SLOW = 0.05
SYNC_S_MAX = 0.5
SKEW_S_MAX = 15.0
"""Clocks that differ by more make requests look expired, or valid for too long."""
STALE_BLOCKS = 20
STALE_S = 120.0
FILES_SPARE = 256
VOLATILE = frozenset({"tmpfs", "ramfs"})


def check_disk(directory: Path) -> list[Finding]:
    """Whether receipts can be made durable under `directory`, and fast enough."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free, sync_s = shutil.disk_usage(directory).free, measure_sync_s(directory)
    except OSError as error:
        return [failed("disk", f"{directory}: {error.strerror}", "let this user write data_dir")]
    return [judge_space(free), judge_sync(sync_s), *judge_kind(file_system_of(directory))]


def judge_space(free: int) -> Finding:
    """The finding on `free` bytes for the receipt log."""
    says = f"{free / GIB:.1f} GiB free in data_dir"
    if free < DISK_FREE_MIN:
        return failed("disk space", says, "free some: a full disk ends the receipt log and serving")
    if free < DISK_FREE_LOW:
        return warning("disk space", says, "free some before the receipt log needs it")
    return ok("disk space", says)


def judge_sync(sync_s: float) -> Finding:
    """The finding on the seconds that one sync takes; acknowledgements wait for it."""
    says = f"a synced write takes {sync_s * 1000:.1f} ms"
    if sync_s > SYNC_S_MAX:
        return failed("disk sync", says, "put data_dir on a local SSD: receipts wait for it")
    if sync_s > SYNC_S_SLOW:
        return warning("disk sync", says, "put data_dir on a faster disk")
    return ok("disk sync", says)


def judge_kind(kind: str) -> Iterator[Finding]:
    """A finding where the file system forgets at power-off."""
    if kind in VOLATILE:
        yield warning(
            "disk kind", f"data_dir is on {kind}, which is memory",
            "put it on a disk: unclaimed receipts are money",
        )  # fmt: skip


def measure_sync_s(directory: Path) -> float:
    """Median seconds of a small write and its sync."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(SYNC_SAMPLES):
            began = time.perf_counter()
            file.write(bytes(SYNC_BYTES))
            file.flush()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def file_system_of(directory: Path) -> str:
    """The kind of file system a directory is on; empty where the system does not say."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = {fields[1]: fields[2] for fields in map(str.split, lines) if len(fields) > 2}
    path = directory.resolve()
    return next((mounts[str(p)] for p in (path, *path.parents) if str(p) in mounts), "")


def judge_clock(now: float, block_timestamp: int, block_s: float) -> Finding:
    """The finding on this machine's clock beside the newest block's, in Unix seconds."""
    ahead = now - block_timestamp
    if ahead < -SKEW_S_MAX:
        says = f"this machine's clock is {-ahead:.0f} s behind the newest block"
        return failed("clock", says, "have the clock set by NTP: relays look expired by it")
    if ahead > max(STALE_S, STALE_BLOCKS * block_s):
        says = f"the newest block is {ahead:.0f} s old"
        remedy = "check the clock against NTP; if it is right, the endpoint or the chain stands"
        return warning("clock", says, remedy)
    return ok("clock", f"{ahead:.0f} s after the newest block")


def check_port(server: ServerSettings, is_serving: bool) -> Finding:
    """Whether the listener's port is ours, or free."""
    place = f"{server.host}:{server.port}"
    if is_serving:
        return ok("port", f"{place} is this supplier's")
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            remedy = "stop what has it, or set server.host and server.port"
            return failed("port", f"{place}: {error.strerror}", remedy)
    return ok("port", f"{place} is free")


def check_files(relays_open_max: int) -> Finding:
    """Whether this process may open enough sockets: two for a relay."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * relays_open_max + FILES_SPARE
    if soft < needed:
        says = f"{soft} files may be open, {needed} are needed for {relays_open_max} relays"
        return warning("open files", says, f"raise the limit (`ulimit -n {needed}`)")
    return ok("open files", f"{soft} may be open")
