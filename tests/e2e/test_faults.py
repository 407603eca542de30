"""Real processes that are slow or killed: what the client sees, and what the ledger says then."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import openai
import pytest
from openai import OpenAI

from localnet import LocalMarket, MarketPlan, Terms
from localnet.injector import engines_of
from localnet.market import OK, SupplierNode, status_of
from localnet.processes import wait_until
from localnet.provision import TOKEN
from tests.e2e.accounts import ask, ledger, started
from tests.e2e.test_dialling import metric
from tests.e2e.test_shutdown import is_served, open_stream

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

RUNS_S, STOPS_S = 0.005, 0.1
"""Of a slow engine at a time: less than one short answer takes, then a pause."""
LEARNING, LEARNT = 40, 20
"""Requests in which a gateway learns who is slow, and afterwards."""


@pytest.fixture(scope="module")
def market() -> Iterator[LocalMarket]:
    """Two suppliers, in a session that outlasts the tests."""
    terms = Terms(cap=80 * TOKEN, session_blocks=240)
    with LocalMarket.start(MarketPlan(suppliers=2, terms=terms)) as running:
        yield running


@pytest.fixture
def client(market: LocalMarket) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=market.base_url, api_key=market.api_key, max_retries=0, timeout=60
    ) as found:
        yield found


def serving(market: LocalMarket) -> SupplierNode:
    """Who has a relay open."""
    found = [each for each in market.suppliers if metric(each.url, "supplier_open_relays ")]
    assert len(found) == 1
    return found[0]


def start_again(*suppliers: SupplierNode) -> None:
    for each in suppliers:
        each.node.start_again()

    def are_up() -> bool:
        return all(status_of(f"{each.url}/lode/v1/health") == OK for each in suppliers)

    wait_until(are_up, "no engine", 90.0)


@contextmanager
def slowed(supplier: SupplierNode) -> Iterator[None]:
    """Let a supplier's engine run for a twentieth of the time."""
    (engine,) = engines_of(supplier.node.process.pid)
    is_over = threading.Event()

    def slow() -> None:
        while not is_over.wait(RUNS_S):
            os.kill(engine, signal.SIGSTOP)
            is_over.wait(STOPS_S)
            os.kill(engine, signal.SIGCONT)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def answers_of(market: LocalMarket, supplier: SupplierNode) -> int:
    """Answers that clients received of a supplier."""
    rows = market.run_gateway("suppliers", "list")["suppliers"]
    (mine,) = [each for each in rows if each["supplier"] == "0x" + supplier.supplier.hex()]
    return int(mine["answers"])


def test_a_supplier_that_is_slow_is_left_for_others_and_no_client_fails(
    market: LocalMarket, client: OpenAI
) -> None:
    slow = market.suppliers[0]
    before = ledger(market)
    with slowed(slow):
        for _ in range(LEARNING):
            ask(client, 32)
        answered = answers_of(market, slow)
        for _ in range(LEARNT):
            ask(client, 32)
        assert answers_of(market, slow) - answered <= LEARNT // 4
    assert started(before, ledger(market)) == {
        "requests": LEARNING + LEARNT, "paid": LEARNING + LEARNT
    }  # fmt: skip


def test_a_supplier_that_is_killed_mid_answer(market: LocalMarket, client: OpenAI) -> None:
    ask(client)
    before = ledger(market)
    stream = open_stream(client)
    killed = serving(market)
    killed.node.kill()

    with pytest.raises(openai.APIError) as ended:
        list(stream)
    assert ended.value.code == "upstream_broken"  # told inside the stream, not by a cut
    ask(client)  # the other one answers

    came = started(before, ledger(market))
    assert came.pop("paid", 0) >= 1
    assert sum(came.values()) - came["requests"] <= 1
    assert came["requests"] == 2
    start_again(killed)


def test_all_suppliers_down(market: LocalMarket, client: OpenAI) -> None:
    before = ledger(market)
    for each in market.suppliers:
        each.node.kill()
    for _ in range(3):
        with pytest.raises(openai.InternalServerError) as refused:
            ask(client)
        assert refused.value.code in ("upstream_broken", "upstream_refused")

    came = started(before, ledger(market))
    assert (came["requests"], "paid" in came) == (3, False)
    start_again(*market.suppliers)
    wait_until(lambda: is_served(client), "nobody serves again", 90.0)


def test_a_gateway_that_is_killed_between_the_last_chunk_and_the_receipt(
    market: LocalMarket, client: OpenAI
) -> None:
    gateway = market.gateway
    wait_until(lambda: is_served(client), "nobody serves", 90.0)
    before = ledger(market)
    for _ in range(3):
        text = "".join(
            choice.delta.content or "" for chunk in open_stream(client) for choice in chunk.choices
        )
        gateway.kill()
        assert text
        gateway.start_again()
        wait_until(lambda: status_of(f"{market.base_url[:-3]}/readyz") == OK, "no gateway", 90.0)
    assert started(before, ledger(market)) == {"requests": 3, "paid": 3}
    suppliers = market.run_gateway("status")["suppliers"].values()
    assert all(each["units_served"] == each["units_receipted"] for each in suppliers)
