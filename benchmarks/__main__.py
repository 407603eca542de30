"""Run every benchmark, one after another, and say on which machine.

python -m benchmarks            all of them
python -m benchmarks trie http  only those
"""

import os
import platform
import subprocess
import sys
from pathlib import Path


def machine() -> str:
    """Processor, cores, Python: what a figure must be read with."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")
    python = platform.python_version()
    return f"{model or platform.processor()}, {os.cpu_count()} cores, Python {python}"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; the exit status of the first that fails."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    chosen = [f"bench_{name}" for name in names] or found
    unknown = sorted(set(chosen) - set(found))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(found)}", file=sys.stderr)
        return 2
    print(machine())
    for name in chosen:
        print(f"\n== {name.removeprefix('bench_')}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
