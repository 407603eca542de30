"""Real nodes and a supplier without an open port: both kinds used, either side killed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from localnet import LocalMarket, MarketPlan
from localnet.load import Load, Tally
from localnet.nodes import status_of
from localnet.processes import wait_until
from localnet.provision import MODEL

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]
BATCH = 40


@pytest.fixture(scope="module")
def market() -> Iterator[LocalMarket]:
    """One supplier that dials, one that listens."""
    with LocalMarket.start(MarketPlan(suppliers=2, dialling=1)) as running:
        yield running


def seen(market: LocalMarket) -> list[dict[str, Any]]:
    """What the gateway says of the supplier that dials and of the one that listens."""
    names = ["0x" + each.supplier.hex() for each in market.suppliers]
    return [httpx.get(f"{market.base_url}/suppliers/{name}", timeout=5).json() for name in names]


def has_lines(market: LocalMarket) -> bool:
    """Whether the gateway is up, serves, and has the spare lines of the supplier that dials."""
    try:
        return is_ready(market) and seen(market)[0]["lines"] >= 4
    except httpx.HTTPError:
        return False


def is_ready(market: LocalMarket) -> bool:
    """Whether the gateway serves."""
    return httpx.get(f"{market.base_url.removesuffix('/v1')}/readyz", timeout=5).is_success


def metric(url: str, name: str) -> float:
    """A figure of a node's metrics; 0 while it has none."""
    lines = httpx.get(f"{url}/metrics", timeout=5).text.splitlines()
    return next((float(each.split()[-1]) for each in lines if each.startswith(name)), 0.0)


def load(market: LocalMarket, requests: int) -> Tally:
    """Requests of all kinds by four clients."""
    work = Load(market.base_url, market.api_key, MODEL, workers=4)
    return asyncio.run(work.run(lambda tally: tally.requests >= requests))


def settle(market: LocalMarket) -> None:
    """Wait until every receipt is acknowledged."""
    url = market.control_url
    wait_until(lambda: not metric(url, "gateway_receipts_waiting "), "receipts wait")


def test_both_kinds_serve_and_an_abandoned_stream_stops(market: LocalMarket) -> None:
    tally = load(market, BATCH)
    assert set(tally.outcomes) == {"plain", "streamed", "abandoned"}
    url = market.suppliers[0].url
    wait_until(lambda: not metric(url, "supplier_open_relays "), "an abandoned stream goes on")
    settle(market)
    dials, listens = seen(market)
    assert min(dials["answers"], listens["answers"]) >= BATCH // 8
    assert (dials["faults"], listens["faults"]) == (0, 0)
    assert dials["lines"] >= 4


def test_what_was_served_over_lines_is_claimed_and_paid(market: LocalMarket) -> None:
    url = market.suppliers[0].url
    paid = 'supplier_funnel_token_base_units_total{stage="paid"}'
    wait_until(lambda: metric(url, paid) > 0, "nothing is paid", 120.0)


def test_a_killed_supplier_comes_back_over_new_lines(market: LocalMarket) -> None:
    supplier, before = market.suppliers[0], seen(market)[0]["answers"]
    supplier.node.kill()
    tally = load(market, BATCH)  # the other one serves
    assert sum(tally.outcomes[each] for each in ("plain", "streamed", "abandoned")) >= BATCH // 2
    supplier.node.start_again()
    wait_until(lambda: status_of(f"{supplier.url}/lode/v1/health") == 200, "no engine", 90.0)
    wait_until(lambda: has_lines(market), "no lines came back", 90.0)

    def serves_under_load() -> bool:
        load(market, 4)
        answers: int = seen(market)[0]["answers"]
        return answers > before

    wait_until(serves_under_load, "it serves no more", 90.0)


def test_a_killed_gateway_gets_its_lines_back(market: LocalMarket) -> None:
    gateway = market.gateway
    gateway.kill()
    gateway.start_again()
    wait_until(lambda: has_lines(market), "no lines came back", 90.0)
    with OpenAI(base_url=market.base_url, api_key=market.api_key) as client:
        for _ in range(BATCH // 4):
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hello!"}], max_tokens=4
            )
    settle(market)
