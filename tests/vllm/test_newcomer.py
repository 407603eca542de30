"""A new operator with a vLLM, by the page for suppliers as it is written, to the first payment."""

from pathlib import Path

import pytest

from tests.terminals import end_market, follow, market_terminal, read_blocks

pytestmark = pytest.mark.anvil

HEADING = "### Tried: a new operator with a vLLM"
READ_S_MAX = 800.0


def test_a_new_operator_is_paid_for_what_a_vllm_served(tmp_path: Path) -> None:
    first, *second = read_blocks("supplier.md", HEADING)

    with market_terminal(f"exec {first}", tmp_path) as terminal:
        shown = follow("\n".join(second), tmp_path, READ_S_MAX)
        end_market(terminal)

    assert "first claim paid" in shown
