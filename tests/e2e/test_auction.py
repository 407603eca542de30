"""An auctioned service in a running market: nodes ask, bid, clear, serve and claim alone."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import openai
import pytest

from contracts import Market, TxSender, read_claims
from localnet import LocalMarket, MarketPlan
from localnet.processes import wait_until
from localnet.provision import (
    DEPLOYER,
    GATEWAY_OWNER,
    MODEL,
    SOURCE,
    TOKEN,
    Terms,
    run_gateway,
    run_supplier,
    supplier_operator,
)

pytestmark = [
    pytest.mark.e2e, pytest.mark.long, pytest.mark.anvil, pytest.mark.xdist_group("auction"),
    pytest.mark.timeout(900),
]  # fmt: skip
PRICE = 2 * TOKEN
"""The first posted price of a million compute units."""
ASKS = (TOKEN // 2, TOKEN)
QUANTITY = 6
"""Units that each supplier offers and the gateway wants of each."""
PATIENCE_S = 400.0


@dataclass
class Auctioned:
    """A market and its auctioned service."""

    market: LocalMarket
    service: str


@pytest.fixture(scope="module")
def auctioned() -> Iterator[Auctioned]:
    plan = MarketPlan(suppliers=2, terms=Terms(session_blocks=24))
    with LocalMarket.start(plan) as market:
        yield Auctioned(market, set_up(market))


def set_up(market: LocalMarket) -> str:
    """List the same model with an auction; tell the nodes what it is worth, and start them anew."""
    source = market.folder / "source.toml"
    listed = run_supplier(
        source, "source", "list", "auctioned", "--market", "auction", "--key", SOURCE.key
    )
    service: str = listed["service"]
    run_supplier(source, "source", "open", service, "--price", str(PRICE), "--key", SOURCE.key)
    asyncio.run(mint(market))
    for number, supplier in enumerate(market.suppliers):
        text = supplier.config.read_text()
        known = f'services = ["0x{market.service.hex()}"'
        assert known in text
        text = text.replace(known, f'{known}, "{service}"')
        asks = f'{{ "{service}" = {{ price = {ASKS[number]}, quantity = {QUANTITY} }} }}'
        supplier.config.write_text(text.replace("[auction]", f"[auction]\nasks = {asks}"))
        supplier.node.stop()
        supplier.node.start_again()
    cap = str(8 * TOKEN)
    run_gateway(market.gateway_config, "delegate", service, cap, "--fee-bps", "100")
    with market.gateway_config.open("a") as file:
        file.write(
            f"""
[models]
{MODEL} = "{service}"
[auction]
bids = {{ "{service}" = {{ price = {3 * PRICE}, quantity = {2 * QUANTITY} }} }}
clears = ["{service}"]
"""
        )
    assert market.gateway is not None
    market.gateway.stop()
    market.gateway.start_again()
    return service


async def mint(market: LocalMarket) -> None:
    """Tokens for the bonds of the operators, who have none of their own."""
    async with await Market.connect([market.site.rpc], market.book) as chain:
        sender = TxSender(chain.chain, bytes.fromhex(DEPLOYER.key[2:]))
        for number in range(len(market.suppliers)):
            holder = supplier_operator(number).raw
            await sender.send(chain.token.mint(holder, 10 * TOKEN))
        await sender.send(chain.token.mint(GATEWAY_OWNER.raw, 1_000 * TOKEN))


def is_served(auctioned: Auctioned) -> bool:
    try:
        page = httpx.get(f"{auctioned.market.base_url.removesuffix('/v1')}/readyz", timeout=5.0)
    except httpx.HTTPError:
        return False
    return MODEL in page.json()["models"]


def test_a_round_becomes_a_roster_that_serves_and_claims_at_its_prices(
    auctioned: Auctioned,
) -> None:
    market = auctioned.market
    wait_until(lambda: is_served(auctioned), "no auctioned session was open", PATIENCE_S, 1.0)
    with openai.OpenAI(base_url=market.base_url, api_key=market.api_key) as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "What is the capital of Japan?"}],
            max_tokens=48,
        )
        assert "Tokyo" in (answer.choices[0].message.content or "")
        shown = client.models.retrieve(MODEL).model_dump()
    headers = {"authorization": f"Bearer {market.api_key}"}
    base = f"{market.base_url}/market/services/{auctioned.service}"
    page = httpx.get(base, headers=headers, timeout=30.0).json()
    assert page["market"].startswith("0x")
    # procured in full at a reserve below the posted price: each is paid what the other, or the
    # reserve, would have cost, whatever it asked
    prices = shown["price_per_million_cu"]
    assert max(ASKS) < prices["min"] <= prices["max"] < PRICE

    def asks_paid() -> set[int]:
        return asyncio.run(claimed_prices(market, auctioned.service))

    with openai.OpenAI(base_url=market.base_url, api_key=market.api_key) as client:

        def is_claimed() -> bool:
            if is_served(auctioned):
                client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=64
                )
            return bool(asks_paid())

        wait_until(is_claimed, "no auctioned session was claimed", PATIENCE_S, 2.0)
    assert all(prices["min"] <= each <= prices["max"] for each in asks_paid())


async def claimed_prices(market: LocalMarket, service: str) -> set[int]:
    """The prices of all claims of a service."""
    async with await Market.connect([market.site.rpc], market.book) as chain:
        head = await chain.chain.head()
        claims = await read_claims(chain.chain, chain.book, 0, head.number)
    wanted = bytes.fromhex(service[2:])
    return {each.claim.price for each in claims if each.claim.session.service == wanted}
