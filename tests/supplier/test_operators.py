"""Two operator keys around a session boundary, on a real chain."""

import pytest

from node.keystore import PrivateKey
from relay_mining import keccak
from supplier.mining.chain_view import ChainView
from supplier.mining.operators import Operators
from tests.contracts.world import (
    DEPLOYER,
    OPERATOR,
    OWNER,
    POLICY,
    SUPPLIER,
    World,
    address,
)
from tests.supplier.operating import Operating

NEW = PrivateKey(DEPLOYER)
"""Any other funded key."""


async def operators_of(world: World, *keys: PrivateKey) -> tuple[ChainView, Operators]:
    view = ChainView(world.market, SUPPLIER, 0, 0.01)
    await view.start()
    return view, Operators(view, keys, POLICY)


@pytest.mark.anvil
def test_each_session_is_signed_and_claimed_by_the_key_on_record(operator: Operating) -> None:
    async def rotate(world: World) -> None:
        world.go_to(2, 5)
        old = PrivateKey(OPERATOR)
        view, operators = await operators_of(world, old, NEW)
        registry = world.market.registry
        await world.send(OWNER, registry.set_operator(SUPPLIER, NEW.address))
        await view.refresh()
        await operators.learn()
        assert [operators.of(each).address for each in (1, 2, 3, 4)] == [
            old.address, old.address, NEW.address, NEW.address,
        ]  # fmt: skip
        call = registry.set_url(SUPPLIER, "http://old")  # the operator of the moment may
        assert (await operators.send(call)).is_success
        world.go_to(3)
        await view.refresh()
        call = registry.set_url(SUPPLIER, "http://new")
        assert (await operators.send(call)).is_success  # before anything was asked again
        await operators.learn()
        assert operators.of(2).address == old.address  # streams that began before still end
        assert operators.held == (old.address, NEW.address)
        assert (await registry.supplier(SUPPLIER)).operator == address(DEPLOYER)

    operator.act(rotate)


@pytest.mark.anvil
def test_a_key_that_is_on_no_record_is_never_used(operator: Operating) -> None:
    async def work(world: World) -> None:
        world.go_to(2)
        stranger = PrivateKey(keccak(b"nobody's"))
        view, operators = await operators_of(world, PrivateKey(OPERATOR), stranger)
        await operators.learn()
        operators.add(PrivateKey(OPERATOR))
        assert {operators.of(each).address for each in range(10)} == {address(OPERATOR)}
        for number in range(3, 30):
            world.go_to(number)
            await view.refresh()
            await operators.learn()
        assert operators.of(29).address == address(OPERATOR)

    operator.act(work)
