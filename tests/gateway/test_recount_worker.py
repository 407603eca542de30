"""The recount worker's life beside its gateway's."""

import subprocess
import sys
from pathlib import Path

from localnet.processes import wait_until

GATEWAY = """
import asyncio
from gateway.recounting import RecountWorker

async def main() -> None:
    worker = RecountWorker()
    await worker.count([])
    print(*worker._executor._processes, flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_killed_gateway_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "gateway_process.py"
    script.write_text(GATEWAY)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        worker = Path("/proc", process.stdout.readline().strip())
        assert worker.exists()
    finally:
        process.kill()
        process.communicate()

    wait_until(lambda: not worker.exists() or is_zombie(worker), "the worker went on", 30.0)


def is_zombie(process: Path) -> bool:
    """Whether it has ended and only waits to be reaped."""
    return "State:\tZ" in (process / "status").read_text()
