"""A short run on a whole market: kills and chain faults, and books that add up."""

import os

import pytest
from rich.console import Console

from localnet.chaos import ChaosPlan, checks, run_chaos

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.anvil,
    pytest.mark.timeout(1200),
    pytest.mark.skipif("LODE_CHAOS" not in os.environ, reason="minutes; LODE_CHAOS=1 runs it"),
]


def test_nothing_acknowledged_is_lost() -> None:
    plan = ChaosPlan(kills=6, faults=7, stalls=1, skews=1)

    result = run_chaos(plan, Console(quiet=True))

    assert checks(result) == dict.fromkeys(checks(result), True), result
    assert result["kills"] >= 6
    assert sum(result["injections"].values()) == 15
    assert all(each["claimed"] > 0 for each in result["suppliers"])
