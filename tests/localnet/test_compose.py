"""The set-up jobs of compose.yaml that need no chain."""

from pathlib import Path

import pytest

from localnet.compose import (
    POSTGRES_PASSWORD,
    REDIS_CONFIG,
    REDIS_PASSWORD,
    make_secrets,
    open_market,
)
from localnet.provision import Done, Site


@pytest.mark.parametrize("name", [POSTGRES_PASSWORD, REDIS_PASSWORD])
def test_a_password_is_drawn_once_and_for_each_market_anew(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    make_secrets(first)
    drawn = (first / name).read_text()

    make_secrets(first)
    make_secrets(second)

    assert (first / name).read_text() == drawn
    assert (second / name).read_text() != drawn
    assert len(bytes.fromhex(drawn)) >= 16


def test_redis_asks_for_its_password(tmp_path: Path) -> None:
    make_secrets(tmp_path)

    password = (tmp_path / REDIS_PASSWORD).read_text()
    assert (tmp_path / REDIS_CONFIG).read_text() == f"requirepass {password}\n"
    assert password != (tmp_path / POSTGRES_PASSWORD).read_text()


def test_what_is_done_is_remembered_step_by_step(tmp_path: Path) -> None:
    done = Done(tmp_path / "done")
    assert done.read("service") is None

    done.write("service", "0xab")
    Done(tmp_path / "done").write("gateway", True)

    assert done.read("service") == "0xab"
    assert done.read("gateway") is True


def test_a_market_that_was_open_loses_no_block_to_another_start(tmp_path: Path) -> None:
    """Its windows are counted in them; nobody even answers at this chain's address."""
    (tmp_path / "shared").mkdir()
    Done(tmp_path / "shared" / "done").write("open", True)

    open_market(Site("http://127.0.0.1:9", tmp_path / "none.json"), tmp_path, 3, 1)
