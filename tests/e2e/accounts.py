"""What a gateway's ledger says of the requests of a test, and the shortest request there is."""

from openai import OpenAI

from localnet import LocalMarket
from localnet.processes import wait_until
from localnet.provision import MODEL

ENDS = ("paid", "refunded", "refused", "failed")


def ledger(market: LocalMarket) -> dict[str, int]:
    """What became of all requests, once nothing is in flight and every receipt is acknowledged."""

    def is_settled() -> bool:
        status = market.run_gateway("status")
        return bool(status["receipts_waiting"] == 0 == status["requests"]["in_flight"])

    wait_until(is_settled, "something stays open", 90.0, 0.5)
    found: dict[str, int] = market.run_gateway("status")["requests"]
    assert found["requests"] == sum(found[each] for each in ENDS)
    return found


def started(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """By how much each figure went up."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def ask(client: OpenAI, max_tokens: int = 4) -> str:
    """A plain answer, the same from every honest supplier."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello!"}], max_tokens=max_tokens,
        temperature=0,
    )  # fmt: skip
    return answer.choices[0].message.content or ""
