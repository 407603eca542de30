"""A share of answers asked for again: who stands alone is set aside, everybody is paid."""

import asyncio
from pathlib import Path

import pytest

from gateway.books.lines import AUDIT_KEY
from gateway.routing.auditing import Said, find_odd
from gateway.routing.observation import Observation
from relay_mining import Address, Speech
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio
REQUESTS = 6
ONE, TWO, THREE = (Address(bytes([i]) * 20) for i in range(3))


def saying(text: str) -> Said:
    return ((0, Speech(text), "stop"),)


@pytest.mark.parametrize(
    ("words", "odd"),
    [
        ("aab", THREE),
        ("aba", TWO),
        ("baa", ONE),
        ("aaa", None),
        ("abc", None),
        ("ab", None),
    ],
)
def test_only_who_stands_alone_against_two_is_odd(words: str, odd: Address | None) -> None:
    assert find_odd(dict(zip((ONE, TWO, THREE), map(saying, words), strict=False))) == odd


async def ask(gateway: Gateway, **parameters: float) -> None:
    messages = [{"role": "user", "content": "Who are you?"}]
    client = gateway.client()
    for _ in range(REQUESTS):
        await client.chat.completions.create(model=MODEL, messages=messages, **parameters)  # type: ignore[call-overload]
    await client.close()


def repeats(gateway: Gateway) -> list[Observation]:
    tries = [each for each in gateway.events if isinstance(each, Observation)]
    return [each for each in tries if each.key_id == AUDIT_KEY]


@pytest.mark.parametrize("lie", ["", "mislabels"])
async def test_a_supplier_that_answers_something_else_is_set_aside(
    tmp_path: Path, lie: str
) -> None:
    parrot = FakeSupplier("parrot", lie)
    if not lie:
        parrot.words = ["Polly"]
    honest = [FakeSupplier(name) for name in ("a", "b", "c")]
    async with a_gateway(tmp_path, *honest, parrot, audit_share=1.0) as gateway:
        state = gateway.standing.of(parrot.supplier)
        async with asyncio.timeout(30):
            while not state.doubts:
                await ask(gateway, temperature=0)
        assert not gateway.standing.is_good(parrot.supplier, 1)
        assert [gateway.standing.of(each.supplier).doubts for each in honest] == [0, 0, 0]


async def test_a_repetition_is_paid_and_is_no_client_s(tmp_path: Path) -> None:
    suppliers = [FakeSupplier("a"), FakeSupplier("b")]
    async with a_gateway(tmp_path, *suppliers, audit_share=1.0) as gateway:
        await ask(gateway, seed=7)
        async with asyncio.timeout(30):
            while len(repeats(gateway)) < REQUESTS:
                await asyncio.sleep(0.01)
        await gateway.settled()
        receipted = sum(len(each.receipts) for each in suppliers)
        assert receipted == sum(each.served for each in suppliers) == 2 * REQUESTS
        assert {each.is_answer for each in repeats(gateway)} == {False}
        assert all(gateway.standing.of(each.supplier).doubts == 0 for each in suppliers)
        async with asyncio.timeout(10):
            while gateway.ledger.requests.open:
                await asyncio.sleep(0.01)
        assert gateway.ledger.requests.summary()["requests"] == REQUESTS


@pytest.mark.parametrize(("share", "temperature"), [(0.0, 0.0), (1.0, 0.7)])
async def test_what_does_not_repeat_or_is_not_sampled_is_asked_once(
    tmp_path: Path, share: float, temperature: float
) -> None:
    suppliers = [FakeSupplier("a"), FakeSupplier("b")]
    async with a_gateway(tmp_path, *suppliers, audit_share=share) as gateway:
        await ask(gateway, temperature=temperature)
        await gateway.settled()
        assert sum(each.served for each in suppliers) == REQUESTS
