"""A deployment is one command, can be cut off anywhere, and says where it cannot be."""

import json
from pathlib import Path

import anyio
import pytest

from contracts import AddressBook, AddressBookError, Call, Chain, Market, SendPolicy, TxSender
from contracts.deploy import main
from contracts.deployment import HISTORY, DeploymentPlan, load_plan
from relay_mining import Signer
from tests.contracts.anvil import KEYS, Anvil

pytestmark = [pytest.mark.anvil]

CLOCK = ("--session-blocks", "12", "--seed-offset", "2", "--epoch-sessions", "2")


def deploy(anvil: Anvil, out: Path, *more: str, key: bytes = KEYS[5]) -> int:
    common = ("--rpc", anvil.url, "--out", str(out), "--key", key.hex())
    return main([*common, *CLOCK, *more])


async def members_of(anvil: Anvil, out: Path) -> int:
    async with await Market.connect([anvil.url], out) as market:
        clock = await market.sessions.clock()
        assert (clock.session_blocks, clock.seed_offset, clock.epoch_sessions) == (12, 2, 2)
        assert await market.claims.domain_separator() == market.domain.separator
        return (await market.parameters.values(0)).members


def test_the_book_is_written_and_a_second_run_changes_nothing(
    anvil: Anvil, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "book.json"
    assert deploy(anvil, out, "--members", "4", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    book = AddressBook.load(out)
    assert printed["claims"] == "0x" + book.claims.hex()
    assert anyio.run(members_of, anvil, out) == 4
    height, before = anvil.height, out.read_bytes()
    assert deploy(anvil, out) == 0
    assert "already deployed" in capsys.readouterr().out
    assert (anvil.height, out.read_bytes()) == (height, before)
    assert [each.name for each in tmp_path.iterdir()] == ["book.json"]


async def carry_out(anvil: Anvil, plan: DeploymentPlan, steps: int) -> None:
    async with await Chain.connect([anvil.url]) as chain:
        sender = TxSender(chain, KEYS[5], SendPolicy(poll_s=0.005))
        for contract in plan.steps[:steps]:
            await sender.send(Call(None, plan.init_code(contract)))


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_run_that_was_cut_off_goes_on(anvil: Anvil, tmp_path: Path, steps: int) -> None:
    out = tmp_path / "book.json"
    sender = "0x" + Signer(KEYS[5]).address.hex()
    funds = anvil.rpc("eth_getBalance", sender, "latest")
    anvil.rpc("anvil_setBalance", sender, "0x0")
    assert deploy(anvil, out) == 1
    plan = load_plan(tmp_path / "book.json.plan")
    assert plan is not None
    anvil.rpc("anvil_setBalance", sender, funds)
    anyio.run(carry_out, anvil, plan, steps)
    before = anvil.height
    assert deploy(anvil, out) == 0
    assert anvil.height - before == len(plan.steps) - steps
    assert AddressBook.load(out) == plan.book()
    assert anyio.run(members_of, anvil, out) == plan.params.members


def test_a_key_that_was_used_meanwhile_is_named(
    anvil: Anvil, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "book.json"
    sender = "0x" + Signer(KEYS[5]).address.hex()
    funds = anvil.rpc("eth_getBalance", sender, "latest")
    anvil.rpc("anvil_setBalance", sender, "0x0")
    assert deploy(anvil, out) == 1
    assert "fund its address" in capsys.readouterr().err
    anvil.rpc("anvil_setBalance", sender, funds)
    anvil.rpc(
        "anvil_setNonce",
        sender,
        hex(int(anvil.rpc("eth_getTransactionCount", sender, "latest"), 16) + 1),
    )
    assert deploy(anvil, out) == 1
    assert "has sent other transactions" in capsys.readouterr().err


def test_a_chain_without_its_history_is_refused(
    anvil: Anvil, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = "0x" + HISTORY.hex()
    code = anvil.rpc("eth_getCode", history, "latest")
    anvil.rpc("anvil_setCode", history, "0x")
    assert deploy(anvil, tmp_path / "book.json") == 1
    assert "EIP-2935" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    anvil.rpc("anvil_setCode", history, code)


@pytest.mark.parametrize("flags", [("--seed-offset", "7"), ("--session-blocks", "2048")])
def test_an_impossible_clock_is_refused(
    anvil: Anvil, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, str]
) -> None:
    assert deploy(anvil, tmp_path / "book.json", *flags) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "book.json").exists()


def test_help_holds_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m contracts.deploy --rpc http://127.0.0.1:8545" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"registry": "0x12"},
        {"registry": 5},
        {"chainId": -1},
        {"chainId": True},
        {"chainId": "1"},
        {"more": 1},
    ],
)
def test_a_malformed_book_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "book.json"
    book = AddressBook(1, 2, *(bytes([each]) * 20 for each in range(8)))
    book.save(path)
    assert AddressBook.load(path) == book
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(AddressBookError, match="malformed"):
        AddressBook.load(path)
    with pytest.raises(AddressBookError, match="no address book"):
        AddressBook.load(tmp_path / "none.json")
