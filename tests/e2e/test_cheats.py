"""One cheat of each side in a whole market: caught where the page says, and the books balance."""

import subprocess

import orjson
import pytest

from localnet.processes import ROOT, module

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.xdist_group("market")]
CHEATS = ("inflator", "overclaimer", "gateways", "claimant")


def test_cheats_are_caught_beside_honest_suppliers() -> None:
    argv = module("localnet.cheats", "--json", "--only", ",".join(CHEATS))
    done = subprocess.run(argv, capture_output=True, timeout=280, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    result = orjson.loads(done.stdout.splitlines()[-1])

    rows = result["cheats"]
    assert {row["module"] for row in rows} == set(CHEATS)
    assert [row for row in rows if row["gained"] > 0 or not row["is_as_promised"]] == []
    assert result["conserved"]
    assert all(paid > 0 for paid in result["honest_paid"])
