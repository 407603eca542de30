"""`supplier rotate-key`: each step in its order, on a real chain beside a node that is asked."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from node.errors import OperatorError
from node.http import Request, Response
from node.rotation import RotationState, Step, next_step
from node.settings_file import change_section
from tests.beside import serving
from tests.contracts.world import DEPLOYER, OPERATOR, SUPPLIER, World, address
from tests.factories import CLOCK, an_address
from tests.supplier.operating import Operating

OLD, NEW = an_address("old"), an_address("new")
READY = RotationState(upcoming=NEW, held=(OLD, NEW), now=OLD, later=OLD, head=184)
"""In the first block of session 7, which ends before block 196."""


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"upcoming": None}, Step.MAKE_KEY),
        ({"held": (OLD,)}, Step.LOAD_KEY),
        ({"held": (OLD,), "later": NEW}, Step.LOAD_KEY),  # recorded too early: hurry
        ({}, Step.RECORD),
        ({"held": None}, Step.RECORD),  # no node runs: it will hold both when it starts
        ({"head": 192}, Step.RECORD),
        ({"head": 193}, Step.WAIT_FOR_SESSION),
        ({"head": 195}, Step.WAIT_FOR_SESSION),
        ({"later": NEW, "head": 195}, Step.WAIT_FOR_BOUNDARY),
        ({"now": NEW, "later": NEW}, Step.FINISH),
        ({"now": NEW, "later": NEW, "held": None}, Step.FINISH),
    ],
)
def test_each_state_has_its_next_step(change: dict[str, object], step: Step) -> None:
    assert next_step(replace(READY, **change), CLOCK) is step  # type: ignore[arg-type]


def test_a_section_is_changed_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[keys]\na = "1"\nb = "2"\n\n[server]\nport = 1\n')
    change_section(path, "keys", {"a": None, "b": "x\\y", "c": "new", "d": None})
    assert tomllib.loads(path.read_text()) == {
        "keys": {"b": "x\\y", "c": "new"},
        "server": {"port": 1},
    }
    with pytest.raises(OperatorError, match=r"no section \[nothing\]"):
        change_section(path, "nothing", {"b": None, "e": "1"})
    assert tomllib.loads(path.read_text())["keys"] == {"b": "x\\y", "c": "new"}


@contextmanager
def a_node(held: list[bytes]) -> Iterator[int]:
    """A health page that says which keys are held."""

    async def page(request: Request) -> Response:
        return Response(200, orjson.dumps({"operators": ["0x" + each.hex() for each in held]}))

    with serving(page) as port:
        yield port


@pytest.mark.anvil
def test_a_key_is_changed_step_by_step(operator: Operating) -> None:
    new, held = address(DEPLOYER), [address(OPERATOR)]
    arguments = ("rotate-key", "--new-key", DEPLOYER.hex(), "--wait-s", 0)

    def go_to(number: int, offset: int = 0) -> None:
        async def work(world: World) -> None:
            world.go_to(number, offset)

        operator.act(work)

    def on_record(number: int) -> bytes | None:
        found: list[bytes | None] = []

        async def work(world: World) -> None:
            found.append(await world.market.registry.operator(SUPPLIER, number))

        operator.act(work)
        return found[0]

    go_to(2)
    with a_node(held) as port:
        text = operator.config.read_text()
        operator.config.write_text(text.replace("port = 0\n", f"port = {port}\n", 1))
        assert "send SIGHUP to `supplier serve`" in operator.cli.refuse(*arguments)
        assert on_record(3) == address(OPERATOR)  # the node first, then the chain
        assert tomllib.loads(operator.config.read_text())["keys"]["next_operator_key"]
        held.append(new)
        assert "wait for the session in which it counts" in operator.cli.refuse(*arguments)
        assert (on_record(2), on_record(3)) == (address(OPERATOR), new)
        go_to(3)
        assert operator.cli.run(*arguments)["operator"] == "0x" + new.hex()
    keys = tomllib.loads(operator.config.read_text())["keys"]
    assert keys["operator_key"].removeprefix("0x") == DEPLOYER.hex()
    assert "next_operator_key" not in keys


@pytest.mark.anvil
def test_a_new_keystore_gets_the_gas_of_the_old_one(operator: Operating, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")

    async def start(world: World) -> None:
        world.go_to(2)

    operator.act(start)
    gas = 10**16
    refused = operator.cli.refuse(
        "rotate-key", "--password-file", password, "--gas", gas, "--wait-s", 0
    )
    assert "wait for the session" in refused

    async def check(world: World) -> None:
        new = await world.market.registry.operator(SUPPLIER, 3)
        assert new is not None
        assert new != address(OPERATOR)
        assert await world.market.chain.balance(new) == gas
        world.go_to(3)

    operator.act(check)
    operator.cli.run("rotate-key", "--wait-s", 0)
    keys = tomllib.loads(operator.config.read_text())["keys"]
    assert Path(keys["operator_keystore"]).is_file()
    assert "operator_key" not in keys  # the raw one is gone
    found = operator.cli.run("doctor", status=1)["findings"]
    (mine,) = [each for each in found if each["name"] == "operator key"]
    assert mine["verdict"] == "ok"
