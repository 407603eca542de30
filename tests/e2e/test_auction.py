"""An auctioned service in a running market: nodes ask, bid, clear, serve and claim alone."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from contracts import Market, TxSender, read_claims
from localnet import LocalMarket, MarketPlan
from localnet.accounts import DEPLOYER, SOURCE, gateway_owner, supplier_operator
from localnet.processes import wait_until
from localnet.provision import (
    MODEL,
    TOKEN,
    Terms,
    run_gateway,
    run_supplier,
)

pytestmark = [
    pytest.mark.e2e, pytest.mark.long, pytest.mark.anvil, pytest.mark.xdist_group("auction"),
    pytest.mark.timeout(900),
]  # fmt: skip
TERMS = Terms(session_blocks=24)
EPOCH_SESSIONS = TERMS.epoch_sessions
PRICE = 2 * TOKEN
"""The first posted price of a million compute units."""
ASKS = (TOKEN // 2, TOKEN)
QUANTITY = 6
"""Units that each supplier offers and the gateway wants of each."""
BID = 3 * PRICE
PATIENCE_S = 400.0


@dataclass
class Auctioned:
    """A market and its auctioned service."""

    market: LocalMarket
    service: str


@pytest.fixture(scope="module")
def auctioned() -> Iterator[Auctioned]:
    plan = MarketPlan(suppliers=2, terms=TERMS)
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
bids = {{ "{service}" = {{ price = {BID}, quantity = {2 * QUANTITY} }} }}
clears = ["{service}"]
"""
        )
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
        await sender.send(chain.token.mint(gateway_owner().raw, 1_000 * TOKEN))


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
    page = read_market(market, f"services/{auctioned.service}")
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


def test_the_gateway_tells_the_book_the_price_path_and_what_its_own_bid_did_pay(
    auctioned: Auctioned,
) -> None:
    market, service = auctioned.market, auctioned.service
    ask = f"services/{service}"

    def tried(price: int, quantity: int) -> list[dict[str, Any]]:
        query = f"price={price}&quantity={quantity}&epochs=64"
        found: list[dict[str, Any]] = read_market(market, f"{ask}/bids?{query}")["data"]
        return found

    def is_bought() -> bool:
        return any(each["units"] for each in tried(BID, 2 * QUANTITY))

    wait_until(is_bought, "no round gave the gateway's bid a unit", PATIENCE_S, 2.0)

    page = read_market(market, ask)
    asks = {(each["supplier"], each["price"], each["quantity"]) for each in page["book"]}
    wanted = {
        ("0x" + each.supplier.hex(), str(price), QUANTITY)
        for each, price in zip(market.suppliers, ASKS, strict=True)
    }
    assert asks <= wanted  # of the newest round, whose orders may be being revealed
    bid = {"application": "0x" + gateway_owner().raw.hex(), "price": str(BID),
           "quantity": 2 * QUANTITY, "in": True}  # fmt: skip
    assert page["bids"] in ([], [bid])
    assert asks or page["bids"]
    posted = {at // EPOCH_SESSIONS: int(price) for at, price, _ in page["path"]}
    assert posted[min(posted)] == PRICE
    assert page["posted"] == str(posted[max(posted)])

    rounds = {each["epoch"]: each for each in read_market(market, f"{ask}/rounds")["data"]}
    cleared = [epoch for epoch, each in rounds.items() if each["cleared"]]
    assert cleared
    for epoch in cleared:
        assert int(rounds[epoch]["price"]) == posted[epoch]
        assert {each["supplier"] for each in rounds[epoch]["sellers"]} <= {e for e, _, _ in wanted}
    assert any((rounds[each]["asks"], rounds[each]["bids"]) == (2, 1) for each in cleared)

    # its own bid is told to have got and paid what the contract gave and charged
    settled = asyncio.run(read_settled(market, service))
    own = {each["epoch"]: each for each in tried(BID, 2 * QUANTITY)}
    shared = own.keys() & settled.keys()
    assert any(own[epoch]["units"] for epoch in shared)
    for epoch in shared:
        units, charge = settled[epoch]
        assert (own[epoch]["units"], own[epoch]["charge"]) == (units, str(charge))
        assert own[epoch]["paid"] == (str(posted[epoch]) if units else None)
    # a bid below the posted price, though above what suppliers are paid, gets nothing
    for each in tried(PRICE - 1, 1):
        assert int(each["posted"]) < PRICE or (each["units"], each["paid"]) == (0, None)
    shown = httpx.get(f"{market.control_url}/dashboard/api/bids/{service}",
                      params={"price": str(BID), "quantity": str(2 * QUANTITY), "epochs": "64"},
                      timeout=30.0).json()["data"]  # fmt: skip
    assert {each["epoch"]: each for each in shown}.items() >= own.items()
    drawn = httpx.get(f"{market.control_url}/dashboard/api/services/{service}", timeout=30.0)
    assert drawn.json()["path"][: len(page["path"])] == page["path"]


def test_a_supplier_tries_another_ask_on_the_rounds_there_were(auctioned: Auctioned) -> None:
    market, service = auctioned.market, auctioned.service
    rounds = {
        each["epoch"]: each
        for each in read_market(market, f"services/{service}/rounds")["data"]
        if each["cleared"]
    }
    first = market.suppliers[0]
    ask = ("price", "ask", service, "--quantity", str(QUANTITY), "--price")
    same = run_supplier(first.config, *ask, str(ASKS[0]))
    told = {each["epoch"]: each for each in same["tried"]}
    asked = {each["epoch"]: each for each in same["asked"]}
    assert asked.items() <= told.items()
    assert rounds.keys() & asked.keys()
    for epoch in rounds.keys() & asked.keys():
        sellers = {each["supplier"]: each["price"] for each in rounds[epoch]["sellers"]}
        assert sellers["0x" + first.supplier.hex()] == str(told[epoch]["unit_price"])
    dear = run_supplier(first.config, *ask, str(PRICE))["tried"]
    assert {each["units"] for each in dear if each["epoch"] in rounds} == {0}


def read_market(market: LocalMarket, path: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {market.api_key}"}
    answer = httpx.get(f"{market.base_url}/market/{path}", headers=headers, timeout=30.0)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def read_settled(market: LocalMarket, service: str) -> dict[int, tuple[int, int]]:
    """Units and charge of the bid of each round that was settled."""
    async with await Market.connect([market.site.rpc], market.book) as chain:
        reader = chain.events(confirmations=0)
        found: dict[int, tuple[int, int]] = {}
        while await reader.is_behind():
            for event in (await reader.read()).events:
                at = event.values
                if event.name == "SettleBid" and at["service"].hex() == service[2:]:
                    assert at["application"] == gateway_owner().raw
                    found[at["epoch"]] = (at["units"], at["charge"])
    return found


async def claimed_prices(market: LocalMarket, service: str) -> set[int]:
    """The prices of all claims of a service."""
    async with await Market.connect([market.site.rpc], market.book) as chain:
        head = await chain.chain.head()
        claims = await read_claims(chain.chain, chain.book, 0, head.number)
    wanted = bytes.fromhex(service[2:])
    return {each.claim.price for each in claims if each.claim.session.service == wanted}
