"""A supplier whose engines are changed, restarted and killed while a gateway sends it relays."""

import os
import signal
from collections.abc import Iterator

import pytest

from localnet import LocalMarket, MarketPlan, Terms
from localnet.processes import wait_until
from localnet.provision import TOKEN, run_supplier
from tests.asking import asking
from tests.engine_tables import engine_processes, engines_up, limits, write_engines

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]


@pytest.fixture
def small_market() -> Iterator[LocalMarket]:
    """One supplier, so that no other one can stand in for it, and a gateway."""
    with LocalMarket.start(MarketPlan(suppliers=1, terms=Terms(cap=800 * TOKEN))) as running:
        yield running


def two_engines(slots: int) -> dict[str, str]:
    line = f'arguments = ["--max-num-seqs", "{slots}"]\n'
    return {"left": line, "right": line}


def test_no_request_fails_while_engines_are_changed_restarted_and_killed(
    small_market: LocalMarket,
) -> None:
    supplier = small_market.suppliers[0]
    config, node = supplier.config, supplier.node.process
    both_up = {"left": True, "right": True}

    assert engines_up(small_market) == {"engine": True}
    with asking(small_market) as asker:
        asker.wait_for_more()
        write_engines(config, two_engines(16))
        assert run_supplier(config, "engine", "change") == {"changed": True}
        asker.wait_for_more()
        wait_until(lambda: engines_up(small_market) == both_up, "not both are up", 30.0)

        write_engines(config, two_engines(4))
        node.send_signal(signal.SIGHUP)
        wait_until(lambda: limits(small_market) == {4}, "the flags were not taken up", 60.0)
        asker.wait_for_more()

        assert run_supplier(config, "engine", "restart", "left")["restarted"]
        asker.wait_for_more()

        wait_until(lambda: len(engine_processes(supplier)) == 2, "one too many engines", 30.0)
        os.kill(engine_processes(supplier)[0], signal.SIGKILL)
        asker.wait_for_more()
        wait_until(lambda: engines_up(small_market) == both_up, "it did not come back", 60.0)
        asker.wait_for_more()

    assert asker.failed == []
