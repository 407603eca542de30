"""A short run on a whole market: kills and chain faults, and books that add up."""

from pathlib import Path

import pytest
from rich.console import Console

from localnet.chaos import ChaosPlan, run_chaos
from localnet.chaos_report import checks

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.anvil,
    pytest.mark.long,
    pytest.mark.timeout(1200),
]


@pytest.mark.parametrize("database", [False, True])
def test_nothing_acknowledged_is_lost(tmp_path: Path, database: bool) -> None:
    plan = ChaosPlan(kills=9, faults=7, stalls=1, skews=1, partitions=4)

    result = run_chaos(plan, Console(quiet=True), tmp_path / "logs", database=database)

    assert checks(result) == dict.fromkeys(checks(result), True), result
    assert sum(result["kills"].values()) >= 9
    assert sum(result["injections"].values()) == (22 if database else 18)
    assert all(each["claimed"] > 0 for each in result["suppliers"])
    assert (tmp_path / "logs" / "gateway.log").exists()
