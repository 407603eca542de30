"""`supplier price ask` on a chain whose rounds were traded by the nodes' own traders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from contracts import NOBODY, Service, compute_service_id, compute_supplier_id
from localnet.processes import ROOT
from relay_mining import BPS, RosterEntry, UnitWeights, keccak
from supplier.cli import cli as app
from supplier.config_file import set_value
from tests.clis import CommandLine
from tests.contracts.anvil import Anvil, start_anvil
from tests.contracts.trading_rounds import (
    ASKS,
    OWNERS,
    PRICE,
    SALT,
    open_market,
    sender_of,
)
from tests.contracts.world import PARAMS, address

pytestmark = pytest.mark.anvil

SUPPLIER = compute_supplier_id(address(OWNERS[0]), SALT)
RESERVE = PRICE * 99 // 100
SHARES_BPS = 1_000 + PARAMS.protocol_bps
"""Of the source, as the service is listed, and of the protocol."""
ASK = ASKS[0]


@dataclass
class Traded:
    """The auctioned service after a round, the roster it cleared to, and a posted service."""

    anvil: Anvil
    folder: Path
    service: str = ""
    posted: str = ""
    epoch: int = 0
    roster: tuple[RosterEntry, ...] = ()


async def trade(traded: Traded) -> None:
    rounds = await open_market(traded.anvil, traded.folder)
    async with rounds.market as market:
        source = sender_of(market.chain, OWNERS[1])
        posted = Service(
            source.address, keccak(b"spec"), UnitWeights(0, 1, 1, 1), 0, NOBODY, "posted"
        )
        await source.send(market.registry.list_service(posted))
        traded.posted = "0x" + compute_service_id(posted).hex()
        traded.service = "0x" + rounds.service.hex()
        traded.epoch = rounds.clock.epoch_of(rounds.clock.session_at(traded.anvil.height)) + 3
        await rounds.finish(traded.epoch)
        found = await market.auction.round(rounds.service, traded.epoch)
        assert (found.procured, found.demand, found.price) == (8, 13, PRICE)
        traded.roster = await market.sessions.roster(rounds.service, traded.epoch)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    anvil = start_anvil()
    try:
        traded = Traded(anvil, tmp_path_factory.mktemp("traded"))
        anyio.run(trade, traded)
        yield traded
    finally:
        anvil.stop()


@pytest.fixture
def cli(traded: Traded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of the supplier with the lower ask."""
    monkeypatch.chdir(tmp_path)
    cli = CommandLine(app)
    cli.run(
        "init", "--rpc", traded.anvil.url, "--address-book", traded.folder / "addressbook.json",
        "--model", ROOT / "models" / "demo", "--owner-key", "0x" + OWNERS[0].hex(),
        "--operator-key", "0x" + OWNERS[0].hex(), "--confirmations", 0,
    )  # fmt: skip
    set_value(Path("supplier.toml"), "supplier_id", "0x" + SUPPLIER.hex())
    return cli


def tried(traded: Traded, result: dict[str, Any]) -> dict[str, Any]:
    (row,) = (each for each in result["tried"] if each["epoch"] == traded.epoch)
    return dict(row)


def test_the_same_ask_again_comes_to_what_the_chain_has_in_its_roster(
    cli: CommandLine, traded: Traded
) -> None:
    cost = 500_000
    same = ("--price", ASK.price, "--quantity", ASK.quantity)
    result = cli.run("price", "ask", traded.service, *same, "--cost", cost)
    assert result["tried"][-len(result["asked"]) :] == result["asked"]
    found = tried(traded, result)
    (sold,) = (each for each in traded.roster if each.supplier == SUPPLIER)
    assert (found["units"], found["unit_price"]) == (ASK.quantity, sold.unit_price)
    assert found["unit_price"] == RESERVE  # both sell out: nobody else would have served
    assert found["gross"] == ASK.quantity * RESERVE
    assert found["net"] == found["gross"] * (BPS - SHARES_BPS) // BPS - ASK.quantity * cost
    assert found["posted"] == PRICE


def test_another_ask_comes_to_what_the_rule_would_have_given_it(
    cli: CommandLine, traded: Traded
) -> None:
    def sells(price: int, quantity: int) -> tuple[int, int]:
        ask = ("--price", price, "--quantity", quantity)
        found = tried(traded, cli.run("price", "ask", traded.service, *ask))
        return found["units"], found["unit_price"]

    assert sells(RESERVE + 1, 3) == (0, 0)
    assert sells(RESERVE, 3) == (3, RESERVE)
    rival, demand = ASKS[1], 13
    left = demand - rival.quantity
    assert sells(1, 20) == (demand, (rival.quantity * rival.price + left * RESERVE) // demand)
    assert sells(rival.price + 1, 20) == (left, RESERVE)


def test_only_rounds_whose_orders_are_revealed_are_tried(cli: CommandLine, traded: Traded) -> None:
    ask = ("--price", ASK.price, "--quantity", ASK.quantity)
    epochs = [each["epoch"] for each in cli.run("price", "ask", traded.service, *ask)["tried"]]
    assert epochs == list(range(epochs[0], traded.epoch + 1))
    (last,) = cli.run("price", "ask", traded.service, *ask, "--epochs", 1)["tried"]
    assert last["epoch"] == traded.epoch


def test_a_service_with_posted_asks_has_no_rounds_to_try(cli: CommandLine, traded: Traded) -> None:
    ask = ("--price", ASK.price, "--quantity", ASK.quantity)
    assert "supplier price simulate" in cli.refuse("price", "ask", traded.posted, *ask)
