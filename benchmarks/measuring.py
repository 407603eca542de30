"""What several benchmarks measure with: time per call, closed loops of clients, processes."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.http import ClientPool, HeaderList

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ROUND_S = 0.001


def time_us(work: Callable[[], object], seconds: float = 0.5) -> float:
    """Microseconds of processor time of one call: the best of many short rounds.

    Time in which others have the core does not count, so that a busy machine shows little.
    """
    clock, count = time.thread_time, 1
    work()
    while True:
        began = clock()
        for _ in range(count):
            work()
        if clock() - began > ROUND_S:
            break
        count *= 2
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = clock()
        for _ in range(count):
            work()
        best = min(best, (clock() - began) / count)
    return best * 1e6


def pin(cores: Iterable[int]) -> None:
    """Keep this process on some cores."""
    os.sched_setaffinity(0, set(cores))


def split_cores() -> tuple[int, set[int]]:
    """The core of what is measured, and those of everything else (the same one on one core)."""
    core, *rest = sorted(os.sched_getaffinity(0))
    return core, set(rest) or {core}


def descendants(pid: int) -> list[int]:
    """A process and all that it has started."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def processor_s(pids: Iterable[int]) -> float:
    """Processor seconds that processes have used, in user and kernel mode."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mb(pids: Iterable[int]) -> float:
    """Resident memory of processes in MB (what they share counts for each)."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * PAGE / 1e6


@dataclass(frozen=True, slots=True)
class Target:
    """Where a closed loop sends what."""

    url: str
    headers: HeaderList
    body: bytes
    is_stream: bool


async def load(target: Target, concurrency: int, seconds: float) -> list[float]:
    """Latencies in seconds of a closed loop of clients, streams read to their end."""
    latencies: list[float] = []
    async with ClientPool() as pool:
        until = time.perf_counter() + seconds

        async def ask() -> None:
            if not target.is_stream:
                answer = await pool.request(b"POST", target.url, target.headers, target.body)
                if answer.status != 200:
                    raise RuntimeError(answer.body[:500].decode())
                return
            async with pool.stream(b"POST", target.url, target.headers, target.body) as stream:
                tail = b""
                async for chunk in stream.chunks():
                    tail = (tail + chunk)[-64:]
                if stream.status != 200 or b"[DONE]" not in tail:
                    raise RuntimeError(f"status {stream.status}: {tail.decode()}")

        async def work() -> None:
            while (began := time.perf_counter()) < until:
                await ask()
                latencies.append(time.perf_counter() - began)

        await asyncio.gather(*(work() for _ in range(concurrency)))
    return latencies


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
