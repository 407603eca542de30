"""Build time, memory and proof size of the sum trie, from a thousand to a million leaves.

    python -m benchmarks.bench_trie            10^3 to 10^6
    python -m benchmarks.bench_trie 4096       only these sizes

Each size runs in a process of its own, so that its peak memory is its own.
"""

import hashlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from relay_mining import Leaf, SumTrie, challenge_points, keccak, verify_opening

SIZES = (10**3, 10**4, 10**5, 10**6)
OPENINGS = 200


def leaves(count: int) -> Iterator[Leaf]:
    """Leaves as a mined session has them: random paths, mostly the weight `tau`."""
    for index in range(count):
        path = hashlib.sha256(index.to_bytes(8, "big")).digest()
        yield Leaf(path, 1_000 + path[0] * (path[1] < 16))


def measure(count: int) -> str:
    """One line of figures for `count` leaves."""
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    made = sum(1 for _ in leaves(count))
    making = time.perf_counter() - start
    start = time.perf_counter()
    trie = SumTrie.build(leaves(made))
    build = time.perf_counter() - start - making
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    points = challenge_points(keccak(b"points"), OPENINGS, trie.root.sum)
    start = time.perf_counter()
    openings = [trie.open(point) for point in points]
    opened = time.perf_counter()
    for point, opening in zip(points, openings, strict=True):
        verify_opening(trie.root, point, opening)
    verified = time.perf_counter()
    sizes = sorted(48 * len(opening.siblings) for opening in openings)
    return (
        f"{count:>9,} {build:>9.3f} {build / count * 1e6:>8.2f} {peak / 1024:>8.0f} "
        f"{(peak - floor) / 1024:>8.0f} {sizes[len(sizes) // 2]:>8,} {sizes[-1]:>8,} "
        f"{(opened - start) / OPENINGS * 1e6:>8.0f} {(verified - opened) / OPENINGS * 1e6:>9.0f}"
    )


def main(arguments: list[str]) -> None:
    """Print the table, or one line of it for `--one COUNT`."""
    if arguments[:1] == ["--one"]:
        print(measure(int(arguments[1])))
        return
    print("   leaves   build s  us/leaf  peak MB   own MB  siblings bytes   open us verify us")
    print("                                               median      max")
    for count in [int(argument) for argument in arguments] or SIZES:
        command = [sys.executable, "-m", "benchmarks.bench_trie", "--one", str(count)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
