"""An only supplier's vLLM, changed, joined by another and restarted while relays go on."""

from collections.abc import Iterator

import pytest

from localnet import LocalMarket, MarketPlan, Terms
from localnet.chain import free_port
from localnet.provision import TOKEN, run_supplier
from tests.asking import asking
from tests.engine_tables import engine_processes, engines_up, limits, write_engines
from tests.vllm.parts import NEVER_END, child_engine, child_lines

pytestmark = [pytest.mark.e2e, pytest.mark.anvil]


@pytest.fixture
def market() -> Iterator[LocalMarket]:
    """One supplier of one vLLM, so that nothing can stand in for it, and a gateway."""
    terms = Terms(session_blocks=24, cap=800 * TOKEN)
    plan = MarketPlan(suppliers=1, engines=(child_engine(free_port()),), terms=terms)
    with LocalMarket.start(plan) as running:
        yield running


def vllm_of(slots: int) -> str:
    """A vLLM on a port of its own, in a file's [[engines]]."""
    return "\n".join(['kind = "vllm"', *child_lines(0, "--max-num-seqs", str(slots)), ""])


def test_no_request_fails_while_a_vllm_is_changed_joined_and_restarted(market: LocalMarket) -> None:
    supplier = market.suppliers[0]
    [first] = engine_processes(supplier)
    with asking(market, tokens=200, bias=NEVER_END) as asker:
        asker.wait_for_more()
        write_engines(supplier.config, {"engine": vllm_of(8)})
        assert run_supplier(supplier.config, "engine", "change") == {"changed": True}
        asker.wait_for_more()
        [second] = engine_processes(supplier)
        assert second != first
        assert limits(market) == {8}

        write_engines(supplier.config, {"engine": vllm_of(8), "spare": vllm_of(4)})
        assert run_supplier(supplier.config, "engine", "change") == {"changed": True}
        asker.wait_for_more()
        [spare] = set(engine_processes(supplier)) - {second}
        assert limits(market) == {8, 4}

        assert run_supplier(supplier.config, "engine", "restart", "engine")["restarted"]
        asker.wait_for_more()
        [third] = set(engine_processes(supplier)) - {spare}
        assert third != second
        assert engines_up(market) == {"engine": True, "spare": True}

    assert asker.failed == []
