"""SIGTERM in the middle of a stream: the stream ends whole, it is receipted, the node ends well."""

import signal
from collections.abc import Iterator

import pytest
from openai import APIError, OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from localnet import LocalMarket, MarketPlan, Terms
from localnet.processes import Node, wait_until
from localnet.provision import MODEL, TOKEN

pytestmark = [pytest.mark.e2e, pytest.mark.anvil]

TOKENS = 400
LONG = "Once upon a time"
NO_SPECIAL_TOKEN = {"0": -100, "1": -100, "2": -100}
"""So that the demo model goes on until its tokens are spent."""


@pytest.fixture
def small_market() -> Iterator[LocalMarket]:
    """One supplier and a gateway, with room for long answers."""
    with LocalMarket.start(MarketPlan(suppliers=1, terms=Terms(cap=80 * TOKEN))) as running:
        yield running


def open_stream(client: OpenAI) -> Stream[ChatCompletionChunk]:
    """A long stream whose first event is here."""
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": LONG}],
        max_tokens=TOKENS,
        stream=True,
        seed=1,
        logit_bias=NO_SPECIAL_TOKEN,
    )
    next(stream)
    return stream


def read_to_end(stream: Stream[ChatCompletionChunk]) -> str | None:
    """Why the rest of a stream came to its end."""
    reasons = [choice.finish_reason for chunk in stream for choice in chunk.choices]
    return reasons[-1]


def assert_ends_well(node: Node) -> None:
    """The process ends by itself and says that all was well."""
    assert node.process.wait(30) == 0, node.tail()


def test_a_node_that_is_told_to_end_finishes_what_it_streams(small_market: LocalMarket) -> None:
    gateway, supplier = small_market.gateway, small_market.suppliers[0]
    with OpenAI(base_url=small_market.base_url, api_key=small_market.api_key) as client:
        for node in (supplier.node, gateway):
            stream = open_stream(client)
            node.process.send_signal(signal.SIGTERM)
            assert read_to_end(stream) in ("length", "stop")
            assert_ends_well(node)
            if node is supplier.node:
                again = [*supplier.node.process.args]  # type: ignore[misc]
                restarted = Node.start("supplier-again", again, small_market.folder)
                supplier.node.process = restarted.process
                wait_until(lambda: is_served(client), "the supplier did not come back", 60.0)

    left = small_market.run_gateway("status")
    assert (left["running"], left["receipts_waiting"]) == (False, 0)
    usage = left["suppliers"]["0x" + supplier.supplier.hex()]
    assert usage["units_served"] == usage["units_receipted"] > 0


def test_a_stream_that_outlives_the_drain_is_told_and_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY_SERVER__DRAIN_S", "0.1")
    plan = MarketPlan(suppliers=1, terms=Terms(cap=80 * TOKEN))
    with (
        LocalMarket.start(plan) as market,
        OpenAI(base_url=market.base_url, api_key=market.api_key) as client,
    ):
        stream = open_stream(client)
        market.gateway.process.send_signal(signal.SIGTERM)
        with pytest.raises(APIError) as caught:
            read_to_end(stream)
        assert caught.value.code == "gateway_closing"
        assert_ends_well(market.gateway)
        left = market.run_gateway("status")
        usage = left["suppliers"]["0x" + market.suppliers[0].supplier.hex()]
        assert usage["units_served"] == usage["units_receipted"] > 0


def is_served(client: OpenAI) -> bool:
    """Whether a short request is answered."""
    try:
        client.with_options(max_retries=0).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello!"}], max_tokens=2
        )
    except APIError:
        return False
    return True
