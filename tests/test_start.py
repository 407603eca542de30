"""What a command line loads before it knows which command is meant: nothing that takes long."""

import subprocess
import sys

import pytest

SLOW = ("alembic", "eth_account", "fastapi", "web3")
"""Each takes a tenth of a second of CPU or more to load, and most commands need none."""


@pytest.mark.parametrize("program", ["supplier", "gateway"])
def test_a_command_line_starts_without_what_is_slow_to_load(program: str) -> None:
    show = f"import sys, {program}.cli; print(*(each for each in {SLOW} if each in sys.modules))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
