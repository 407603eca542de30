"""docs/tutorial.md, run as it is written."""

from pathlib import Path

import pytest

from tests.terminals import end_market, follow, market_terminal, read_blocks

pytestmark = [pytest.mark.long, pytest.mark.anvil, pytest.mark.timeout(1500)]

READ_S_MAX = 1200.0


def test_it_can_be_followed_to_the_end(tmp_path: Path) -> None:
    both, first, *second = read_blocks("tutorial.md")

    with market_terminal(f"{both}\nexec {first}", tmp_path) as terminal:
        shown = follow("\n".join([both, *second]), tmp_path, READ_S_MAX)
        end_market(terminal)

    assert "The capital of Japan is Tokyo." in shown
