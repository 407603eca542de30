"""`python -m supplier.engines.embedded MODEL_DIR`: serves a model; prints one JSON line when ready.

Exit status: 0 after SIGTERM or SIGINT, 1 where the model or the port is unusable, 2 for a wrong
command line.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

# BLAS reads this once, when NumPy is first imported: threads would only fight over small matrices
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from node.http import Server, run
from supplier.engines.embedded.app import EngineSettings, run_engine
from supplier.engines.embedded.errors import EngineError
from supplier.engines.sentence.app import run_sentence_engine
from supplier.engines.spec import read_task
from supplier.engines.tail.app import run_tail_engine


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status."""
    settings = _parse(arguments)
    try:
        run(_serve(settings))
    except (EngineError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parse(arguments: list[str] | None) -> EngineSettings:
    parser = argparse.ArgumentParser(prog="python -m supplier.engines.embedded")
    parser.add_argument("directory", type=Path, help="Hugging Face model directory")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--served-model-name", default="lode-demo")
    parser.add_argument("--alias", nargs="+", default=[], help="further names it answers to")
    parser.add_argument("--max-num-seqs", type=_positive, default=16, help="running at once")
    parser.add_argument("--max-queue", type=int, default=64, help="waiting beyond those")
    parser.add_argument("--max-model-len", type=_positive, help="tokens of context at most")
    given = parser.parse_args(arguments)
    return EngineSettings(
        directory=given.directory,
        model_name=given.served_model_name,
        aliases=frozenset(given.alias),
        host=given.host,
        port=given.port,
        slots=given.max_num_seqs,
        queue=max(0, given.max_queue),
        context_max=given.max_model_len,
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


SIMPLE_ENGINES = {"embed": run_sentence_engine, "edge": run_tail_engine}
"""By what a model is for; whatever generates has an engine of its own kind."""


def _task(directory: Path) -> str:
    """What a directory is for; one that cannot be read is the generating engine's to refuse."""
    try:
        return read_task((directory / "config.json").read_bytes())
    except (OSError, ValueError):
        return "generate"


def _announce(server: Server, settings: EngineSettings) -> None:
    sys.stdout.write(json.dumps({"port": server.port, "model": settings.model_name}) + "\n")
    sys.stdout.flush()


async def _serve(settings: EngineSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    simple = SIMPLE_ENGINES.get(_task(settings.directory))
    if simple is not None:
        async with simple(settings) as server:
            _announce(server, settings)
            await stop.wait()
            return
    async with run_engine(settings) as engine:
        _announce(engine.server, settings)
        stopped = asyncio.create_task(stop.wait())
        broken = asyncio.create_task(engine.worker.wait_broken())
        done, pending = await asyncio.wait({stopped, broken}, return_when="FIRST_COMPLETED")
        for task in pending:
            task.cancel()
        if broken in done:
            broken.result()


if __name__ == "__main__":
    sys.exit(main())
