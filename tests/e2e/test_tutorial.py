"""docs/tutorial.md, run as it is written."""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet.processes import ROOT, Node, wait_until
from localnet.up import ENV_FILE, FOLDER

pytestmark = [pytest.mark.long, pytest.mark.anvil, pytest.mark.timeout(1500)]

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UP_S_MAX = 240.0
READ_S_MAX = 1200.0


def blocks() -> tuple[str, str, str]:
    """What both terminals begin with, what the first goes on with, and the second."""
    both, first, *second = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())
    return both, first, "\n".join(second)


@pytest.fixture
def first_terminal(tmp_path: Path) -> Iterator[Node]:
    """The terminal in which the market is, once the market is up."""
    assert not (ROOT / FOLDER).exists(), "a market is up in this checkout, or was killed"
    both, first, _ = blocks()
    node = Node.start("market", ["bash", "-c", f"set -e\n{both}\nexec {first}"], tmp_path)
    try:
        node.wait_ready((ROOT / FOLDER / ENV_FILE).exists, UP_S_MAX)
        yield node
    finally:
        node.stop()
        shutil.rmtree(ROOT / FOLDER, ignore_errors=True)


@pytest.fixture
def second_terminal(first_terminal: Node, tmp_path: Path) -> Iterator[Node]:
    """The terminal in which the reader types, and what runs behind it."""
    both, _, second = blocks()
    script = f"set -euo pipefail\n{both}\n{second}"
    node = Node.start("reader", ["bash", "-c", script], tmp_path)
    yield node
    node.stop()


def test_it_can_be_followed_to_the_end(first_terminal: Node, second_terminal: Node) -> None:
    status = second_terminal.process.wait(READ_S_MAX)

    assert status == 0, second_terminal.tail()
    assert "The capital of Japan is Tokyo." in second_terminal.log.read_text()
    first_terminal.process.send_signal(signal.SIGINT)
    wait_until(lambda: not first_terminal.is_alive(), "Ctrl-C did not end the market", 60)
    assert not (ROOT / FOLDER).exists()
