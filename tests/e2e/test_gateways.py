"""A market of several gateways, each of an owner and an application of its own."""

import pytest
from openai import OpenAI

from localnet import LocalMarket, MarketPlan
from localnet.provision import MODEL

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]


def test_each_gateway_serves_its_own_application() -> None:
    with LocalMarket.start(MarketPlan(suppliers=1, gateways=2)) as market:
        assert len(set(market.applications)) == 2
        for gateway in market.gateways:
            with OpenAI(base_url=gateway.base_url, api_key=gateway.api_key) as client:
                answer = client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": "What is the capital of Japan?"}],
                    max_tokens=32,
                )
            assert "Tokyo" in (answer.choices[0].message.content or "")
