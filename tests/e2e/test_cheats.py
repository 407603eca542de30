"""One cheat of each side in a whole market: caught where the page says, and the books balance."""

import orjson
import pytest

from localnet import cheats

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.anvil,
    pytest.mark.xdist_group("market"),
    pytest.mark.timeout(600),
]
CHEATS = ("inflator", "overclaimer", "gateways", "claimant")


def test_cheats_are_caught_beside_honest_suppliers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cheats.RECEIPT_DUE, "")  # put back afterwards; the run sets its own
    status = cheats.main(["--json", "--only", ",".join(CHEATS)])
    printed = capsys.readouterr()
    assert status == 0, printed.err[-4000:]

    result = orjson.loads(printed.out.splitlines()[-1])
    rows = result["cheats"]
    assert {row["module"] for row in rows} == set(CHEATS)
    assert [row for row in rows if row["gained"] > 0 or not row["is_as_promised"]] == []
    assert result["conserved"]
    assert all(paid > 0 for paid in result["honest_paid"])
