"""The nodes' way to the chain is cut for sessions and epochs: served, refused, served again.

Ten minutes are two sessions of 300 blocks, and no length that a gateway knows of: what matters is
how many sessions and epochs begin and end unseen. Here they are four and two, in two minutes.
"""

import httpx
import openai
import pytest
from openai import OpenAI

from localnet import LocalMarket, MarketPlan, Terms
from localnet.fault_proxy import FaultProxy, Mode
from localnet.market import OK, status_of
from localnet.processes import wait_until
from localnet.provision import TOKEN
from tests.e2e.accounts import ask, ledger, started
from tests.e2e.test_shutdown import is_served

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

BLOCKS = 30
"""Of a session; a block takes a second, an epoch two sessions."""
SESSIONS_AWAY = 4
LATE_BLOCKS = 3
"""From a session's first block to where the test has seen that it began."""


def session_of(market: LocalMarket) -> int:
    """The session that the gateway serves, or served last."""
    return int(httpx.get(page(market, "readyz")).json()["session"])


def page(market: LocalMarket, name: str) -> str:
    return f"{market.base_url.removesuffix('/v1')}/{name}"


def answers_of(market: LocalMarket) -> list[int]:
    """Answers that clients received, supplier by supplier."""
    return [each["answers"] for each in market.run_gateway("suppliers", "list")["suppliers"]]


def have_answered(market: LocalMarket, since: list[int]) -> bool:
    return all(now > then for now, then in zip(answers_of(market), since, strict=True))


def test_a_gateway_without_its_chain_serves_its_session_then_says_so_and_comes_back() -> None:
    terms = Terms(cap=80 * TOKEN, session_blocks=BLOCKS)
    with (
        FaultProxy() as proxy,
        LocalMarket.start(MarketPlan(suppliers=2, terms=terms, front=proxy.front)) as market,
        OpenAI(base_url=market.base_url, api_key=market.api_key, max_retries=0) as client,
    ):
        before, last, since = ledger(market), session_of(market), answers_of(market)
        wait_until(lambda: session_of(market) > last, "no session begins", 2.0 * BLOCKS)
        began = market.chain.height()
        answered = 0
        while not have_answered(market, since):
            assert ask(client)  # a supplier asks the chain about a session at its first relay
            answered += 1
        proxy.mode = Mode.REFUSE

        while market.chain.height() < began + BLOCKS - 2 * LATE_BLOCKS:
            assert ask(client)
            answered += 1
        wait_until(lambda: status_of(page(market, "readyz")) != OK, "it goes on", 2.0 * BLOCKS)
        assert market.chain.height() >= began + BLOCKS - LATE_BLOCKS
        refused = 0
        while (height := market.chain.height()) < began + SESSIONS_AWAY * BLOCKS:
            with pytest.raises(openai.InternalServerError) as caught:
                ask(client)
            assert (caught.value.status_code, caught.value.code) == (503, "no_supplier_available")
            assert caught.value.response.headers["retry-after"] == "1"
            refused += 1
            wait_until(lambda: market.chain.height() > height, "no block", 30.0)
        assert status_of(page(market, "healthz")) == OK
        proxy.mode = Mode.PASS

        wait_until(lambda: is_served(client), "nobody serves again", 8.0 * BLOCKS, 1.0)
        came = started(before, ledger(market))
        assert came.keys() == {"requests", "paid", "refused"}
        assert came["paid"] > answered > 0
        assert came["refused"] >= refused > 0
        found = market.run_gateway("reconcile")["sessions"]
        assert not any(each["finding"].startswith("claimed") for each in found)
        assert market.is_alive()
