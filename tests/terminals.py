"""A page of the documentation, followed: the market in one terminal, its reader in another."""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localnet.processes import ROOT, Node, wait_until
from localnet.up import ENV_FILE, FOLDER

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UP_S_MAX = 240.0


def read_blocks(page: str, heading: str = "") -> list[str]:
    """What a reader of a page in `docs` types, block by block; of one section of it, if named."""
    text = (ROOT / "docs" / page).read_text()
    if heading:
        text = re.split(r"^#+ ", text.split(f"\n{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    return BLOCK.findall(text)


@contextmanager
def market_terminal(script: str, logs: Path) -> Iterator[Node]:
    """The terminal in which a market is up, and is ended at the end if it still is."""
    assert not (ROOT / FOLDER).exists(), "a market is up in this checkout, or was killed"
    node = Node.start("market", ["bash", "-c", f"set -e\n{script}"], logs)
    try:
        node.wait_ready((ROOT / FOLDER / ENV_FILE).exists, UP_S_MAX)
        yield node
    finally:
        node.stop()
        shutil.rmtree(ROOT / FOLDER, ignore_errors=True)


def follow(script: str, logs: Path, seconds_max: float) -> str:
    """Type a script; returns what was shown, each command behind the second it was begun in."""
    traced = f"PS4='+ $SECONDS '\nset -euxo pipefail\n{script}"
    node = Node.start("reader", ["bash", "-c", traced], logs)
    try:
        status = node.process.wait(seconds_max)
    finally:
        node.stop()
    assert status == 0, node.tail()
    return node.log.read_text()


def end_market(terminal: Node) -> None:
    """Type Ctrl-C, after which nothing is left."""
    terminal.process.send_signal(signal.SIGINT)
    wait_until(lambda: not terminal.is_alive(), "Ctrl-C did not end the market", 60)
    assert not (ROOT / FOLDER).exists()
