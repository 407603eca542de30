"""What a node and its living descendants use of the machine, as the kernel counts it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from localnet.processes import Node

TICKS_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at one node."""

    resident_bytes: int
    """Over all its processes; what they share counts for each."""
    files: int
    """Descriptors that are open."""
    disk_bytes: int
    """Its log and its folder."""


def take_vitals(node: Node) -> Vitals:
    """A look at a node; a process that ends meanwhile counts for nothing."""
    family = _family(node, _read_stats())
    return Vitals(
        sum(_resident_bytes(each) for each in family),
        sum(_count_files(each) for each in family),
        _count_bytes([node.log, *node.log.with_suffix("").rglob("*")]),
    )


def processor_s(node: Node) -> float:
    """What a node has used of a processor since it started, its living descendants included."""
    stats = _read_stats()
    return sum(stats[each][1] for each in _family(node, stats) if each in stats) / TICKS_S


def _read_stats() -> dict[int, tuple[int, int]]:
    """Of every process its parent and the ticks it used."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        found[int(path.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    return found


def _family(node: Node, stats: dict[int, tuple[int, int]]) -> set[int]:
    family = {node.process.pid}
    while children := {each for each, (parent, _) in stats.items() if parent in family} - family:
        family |= children
    return family


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def _count_files(process: int) -> int:
    try:
        return len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return 0


def _count_bytes(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # it was removed meanwhile
            continue
    return total
