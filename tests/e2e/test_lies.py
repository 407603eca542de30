"""Liars in a running market: stock nodes, sealed orders, clearings, relays, claims."""

import orjson
import pytest

from localnet.lies.__main__ import main

pytestmark = [
    pytest.mark.e2e, pytest.mark.long, pytest.mark.anvil, pytest.mark.xdist_group("lies"),
    pytest.mark.timeout(1200),
]  # fmt: skip


def test_no_lie_gains_within_an_epoch_and_who_does_not_serve_is_not_paid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--epochs", "3", "--json"])
    printed = capsys.readouterr()
    assert status == 0, printed.err[-4000:]

    result = orjson.loads(printed.out.splitlines()[-1])
    assert all(result["checks"].values())
    assert len(result["lies"]) == 12
    assert result["claims"] > 0
    assert result["absence"]["sold"] > 0
    assert result["absence"]["paid"] == 0
    bounded = [row for row in result["lies"] if row["is_bounded"]]
    assert all(row["within"] <= row["rounding"] for row in bounded)
