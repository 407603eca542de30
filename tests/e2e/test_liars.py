"""Suppliers that lie in their answers, as a client sees them: a whole answer or a said failure."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from localnet import LocalMarket, MarketPlan, Terms
from localnet.provision import MODEL, TOKEN
from tests.e2e.accounts import ask, ledger, started

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

LIARS = ("tamperer", "truncator", "overclaimer")
TOKENS = 24
ROUNDS_MAX = 60


@pytest.fixture(scope="module")
def market() -> Iterator[LocalMarket]:
    """Two honest suppliers among three that are not."""
    terms = Terms(cap=80 * TOKEN, session_blocks=240)
    with LocalMarket.start(MarketPlan(suppliers=2, cheats=LIARS, terms=terms)) as running:
        yield running


def stream(client: OpenAI) -> tuple[str, str]:
    """A streamed answer as far as it came, and the code of the error that it ended with."""
    text = ""
    chunks = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello!"}], max_tokens=TOKENS,
        temperature=0, stream=True,
    )  # fmt: skip
    try:
        for chunk in chunks:
            text += "".join(each.delta.content or "" for each in chunk.choices)
    except openai.APIError as error:
        return text, str(error.code)
    return text, ""


def standings(market: LocalMarket) -> dict[str, dict[str, object]]:
    """What the gateway thinks of each liar."""
    rows = {each["supplier"]: each for each in market.run_gateway("suppliers", "list")["suppliers"]}
    liars = [each for each in market.suppliers if each.cheat]
    return {each.cheat: rows["0x" + each.supplier.hex()] for each in liars}


def are_caught(market: LocalMarket) -> bool:
    found = standings(market)
    is_dropped = found["overclaimer"]["standing"] == "dropped"
    return is_dropped and bool(found["tamperer"]["faults"]) and bool(found["truncator"]["faults"])


def test_no_client_takes_a_lie_for_an_answer(market: LocalMarket) -> None:
    with OpenAI(base_url=market.base_url, api_key=market.api_key, max_retries=0) as client:
        before, plain, streamed = ledger(market), list[str](), list[tuple[str, str]]()
        for number in range(ROUNDS_MAX):
            plain.append(ask(client, TOKENS))
            streamed.append(stream(client))
            if number % 10 == 9 and are_caught(market):
                break
        assert are_caught(market)

        (answer,) = set(plain)
        assert {text for text, code in streamed if not code} == {answer}
        cut = [(text, code) for text, code in streamed if code]
        assert all(answer.startswith(text) and text != answer for text, _ in cut)
        assert {code for _, code in cut} <= {"upstream_invalid"}
        assert len(cut) <= int(str(standings(market)["truncator"]["faults"]))

        sent = len(plain) + len(streamed)
        assert started(before, ledger(market)) == {"requests": sent, "paid": sent}
