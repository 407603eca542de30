"""What a command line loads before it knows which command is meant: nothing that takes long."""

import subprocess
import sys

import pytest

SLOW = ("alembic", "eth_account", "fastapi", "web3")
"""Each takes a tenth of a second of CPU or more to load, and most commands need none."""


NODES = (
    "supplier.app", "supplier.cli", "supplier.engines.embedded", "gateway.app", "gateway.cli",
    "edge.cli", "localnet.compose", "localnet.steady", "localnet.up", "adversaries.inventor",
)  # fmt: skip


@pytest.mark.parametrize("program", ["supplier", "gateway"])
def test_a_command_line_starts_without_what_is_slow_to_load(program: str) -> None:
    show = f"import sys, {program}.cli; print(*(each for each in {SLOW} if each in sys.modules))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize("module", NODES)
def test_what_a_node_runs_does_without_scipy(module: str) -> None:
    """It is as large as all other packages of a node together."""
    run = f"import sys; sys.modules['scipy'] = None; import {module}"
    subprocess.run([sys.executable, "-c", run], capture_output=True, check=True)


def test_a_coupled_clearing_without_scipy_says_what_to_install() -> None:
    run = (
        "import sys; sys.modules['scipy'] = None\n"
        "import numpy as np; from pricing import CoupledBook, clear_coupled\n"
        "one = np.array([1]); pair = np.array([[1]])\n"
        "clear_coupled(CoupledBook(np.array([0]), np.array([5]), one, pair, pair, one))"
    )
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)

    assert "pip install 'lode[clearing]'" in done.stderr
