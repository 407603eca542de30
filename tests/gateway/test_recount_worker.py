"""The recount worker's life beside its gateway's."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.api.openai import Endpoint
from gateway.settlement.counting import UNKNOWN, CountFiles, CountJob
from gateway.settlement.recounting import RecountWorker, count_jobs, load_files
from localnet.processes import wait_until
from tests.factories import SERVICE
from tests.gateway.fakes import TEMPLATE, TOKENIZER

GATEWAY = """
import asyncio
from gateway.settlement.recounting import RecountWorker

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


@pytest.mark.anyio
async def test_files_that_load_no_more_leave_an_answer_uncounted_and_the_gateway_alive() -> None:
    failing: list[Callable[..., Any]] = []

    class Slow(RecountWorker):
        async def _run(self, function: Callable[[Any], Any], argument: Any) -> Any:
            if failing and failing[0] is function:
                failing.pop(0)
                raise TimeoutError
            return await super()._run(function, argument)

    worker = Slow()
    job = CountJob(
        SERVICE, Endpoint.COMPLETIONS, b'{"prompt":"ab"}', b"{}", False, datetime.now(UTC)
    )
    try:
        await worker.load(CountFiles(SERVICE, TOKENIZER, TEMPLATE))
        failing += [count_jobs, load_files]
        assert await worker.count([job]) == [UNKNOWN]
        (counted,) = await worker.count([job])
        assert counted.input_tokens == 2
    finally:
        worker.close()
