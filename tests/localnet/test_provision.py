"""A set-up that was cut off goes on where it stopped, on a real chain."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import Market
from localnet import provision
from localnet.accounts import (
    DEPLOYER,
    FIRST_SUPPLIER_ACCOUNT,
    SOURCE,
    gateway_owner,
    gateway_signer,
    supplier_operator,
    supplier_owner,
)
from localnet.chain import ACCOUNTS, LocalChain
from localnet.errors import CommandFailedError
from localnet.provision import Place, Site
from localnet.up import NODES_MAX

Run = Callable[..., dict[str, Any]]


def cut_after(run: Run, command: str) -> Run:
    """The same, but whoever ran `command` dies before knowing that it was done."""

    def wrapped(config: Path, *arguments: str) -> dict[str, Any]:
        result = run(config, *arguments)
        if arguments[0] == command:
            raise CommandFailedError(f"cut after {command}")
        return result

    return wrapped


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A market's chain with its contracts."""
    chain = LocalChain.start(tmp_path)
    try:
        site = Site(chain.url, tmp_path / "addressbook.json")
        site.deploy(1)
        site.mint(1)
        yield site
    finally:
        chain.node.stop()


async def read_money(site: Site, supplier: bytes) -> tuple[int, int]:
    """What the gateway has in escrow, and the supplier at stake."""
    async with await Market.connect([site.rpc], site.book) as market:
        escrow = await market.escrow.account(gateway_owner().raw)
        return escrow.balance, (await market.registry.supplier(supplier)).stake


@pytest.mark.anvil
def test_money_is_put_in_once_however_often_a_setup_is_cut_off(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = site.list_service(tmp_path)
    gateway, supplier = tmp_path / "gateway.toml", tmp_path / "supplier" / "supplier.toml"
    place, control = Place.local(), Place.local()
    for command in ("fund", "delegate"):
        with monkeypatch.context() as patch, pytest.raises(CommandFailedError):
            patch.setattr(provision, "run_gateway", cut_after(provision.run_gateway, command))
            site.add_gateway(gateway, service, place, control)
    with monkeypatch.context() as patch, pytest.raises(CommandFailedError):
        patch.setattr(provision, "run_supplier", cut_after(provision.run_supplier, "stake"))
        site.add_supplier(supplier, 0, service, place)

    assert site.add_gateway(gateway, service, place, control)
    staked = site.add_supplier(supplier, 0, service, place)

    money = asyncio.run(read_money(site, staked))
    assert money == (site.terms.deposit, site.terms.stake)


@pytest.mark.parametrize("gateways", [1, 2, NODES_MAX])
def test_no_account_has_two_parts(gateways: int) -> None:
    suppliers = NODES_MAX - gateways + 1
    parts = [
        DEPLOYER, SOURCE,
        *map(gateway_owner, range(gateways)), *map(gateway_signer, range(gateways)),
        *map(supplier_owner, range(suppliers)), *map(supplier_operator, range(suppliers)),
    ]  # fmt: skip

    assert len({each.address for each in parts}) == len(parts)
    assert len(parts) <= ACCOUNTS - FIRST_SUPPLIER_ACCOUNT + 4
