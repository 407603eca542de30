"""What the demo shows fits its terminal, and a demo that is ended leaves nothing behind."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from localnet.demo import Row, show_table
from localnet.processes import ROOT, wait_until

ROWS = [
    Row("supplier-0", 11_181, 11_181, 10_980, 3, 20_400, 0),
    Row("inventor", 9_999_999, 9_999_999, 9_999_999, 0, 0, 99_244_000),
]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_is_whole_at_common_widths(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(show_table(ROWS))
    text = console.file.getvalue()  # type: ignore[attr-defined]

    assert "…" not in text
    lines = [line.split() for line in text.splitlines()]
    assert ["served", "receipted", "claimed", "paid", "slashed"] in lines
    assert ["supplier", "CU", "CU", "CU", "proofs", "LTT", "LTT"] in lines
    assert text.count("9,999,999") == 3
    assert "99.2440" in text


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo at its start, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "localnet.demo"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    yield process
    process.kill()
    process.communicate()


def children_of(folder: Path) -> list[int]:
    """The processes whose logs or arguments are in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                output = os.readlink(entry / "fd" / "1")
            except OSError:
                continue
            if str(folder) in output:
                found.append(int(entry.name))
    return found


@pytest.mark.e2e
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize(
    ("line", "number"), [("anvil", signal.SIGTERM), ("supplier-0", signal.SIGINT)]
)
def test_a_demo_that_is_ended_leaves_nothing_behind(
    demo: subprocess.Popen[str], number: signal.Signals, line: str, tmp_path: Path
) -> None:
    assert demo.stdout is not None
    until(lambda: demo.stdout.readline().startswith(line))  # type: ignore[union-attr]
    wait_until(lambda: bool(children_of(tmp_path)), "no process was started")

    demo.send_signal(number)

    assert demo.wait(60) != 0
    assert children_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def until(predicate: Callable[[], bool]) -> None:
    while not predicate():
        pass
