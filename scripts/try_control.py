"""Hold the gateway's control plane against schemathesis: `python scripts/try_control.py FOLDER`.

It is installed into the folder, apart from everything else. The control plane runs on a free port
with a table of keys of its own; every answer must be one that its OpenAPI document describes.
Further arguments go to schemathesis.
"""

import asyncio
import secrets
import subprocess
import sys
import tempfile
import venv
from contextlib import suppress
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyStore
from gateway.access.database import Database
from gateway.books.ledger import Ledger
from gateway.control import create_control
from gateway.control_server import ControlServer
from node.append_log import AppendLog

SCHEMATHESIS = "schemathesis==4.32.5"
CONFIG = Path(__file__).with_name("schemathesis.toml")


def install(folder: Path) -> Path:
    """The `schemathesis` command in `folder`, installed unless it is there.

    Raises:
        CalledProcessError: the package could not be had.
    """
    command = folder / "bin" / "schemathesis"
    if not command.is_file():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, SCHEMATHESIS], check=True)
    return command


async def attack(command: Path, url: str, token: str, options: list[str]) -> int:
    """Run every phase of schemathesis; its exit status."""
    process = await asyncio.create_subprocess_exec(
        str(command), "--config-file", str(CONFIG), "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {token}", "--checks", "all", "--continue-on-failure",
        *options,
    )  # fmt: skip
    return await process.wait()


async def serve(command: Path, options: list[str]) -> int:
    """Serve the control plane for as long as schemathesis runs; its exit status."""
    token = secrets.token_hex(24)
    with tempfile.TemporaryDirectory() as name:
        tables, ledger = Database(Path(name) / "keys.db"), Ledger(AppendLog(Path(name) / "usage"))
        app = create_control(
            KeyStore(tables), Accounts(), bytes(20), CollectorRegistry(), ledger.summary, list,
            token,
        )  # fmt: skip
        server = ControlServer(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve())
        await server.listening.wait()
        try:
            return await attack(command, f"http://127.0.0.1:{server.port}", token, options)
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await serving
            tables.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(install(Path(sys.argv[1]).resolve()), sys.argv[2:])))
