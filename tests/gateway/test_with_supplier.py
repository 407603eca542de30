"""A real gateway and a real supplier's data plane: parts, clocks, and who pays for what."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import openai
import pytest

from relay_mining import SessionKey, Signer
from supplier.mining.facts import SessionFacts
from tests.factories import OPERATOR_SIGNER, SUPPLIER, WEIGHTS, a_session, an_address
from tests.gateway.fakes import SPEC_HASH
from tests.gateway.harness import MODEL, TIMEOUTS, a_gateway
from tests.supplier.market import CREDIT, PROMPT_TOKENS, FakeEngine, FakeMarket, relay_world

TOKENS = 40
PATIENT = replace(TIMEOUTS, first_byte=20, stall=20)
"""The stream waits for receipts, which a busy machine takes its time over."""


@dataclass
class SameSpec(FakeMarket):
    """A market whose service is the gateway's, with a threshold of 1."""

    target_leaves: int = 10**9

    async def session_facts(self, key: SessionKey) -> SessionFacts:
        return replace(await super().session_facts(key), spec_hash=SPEC_HASH)


@dataclass
class Known:
    """The supplier as the gateway knows it."""

    supplier: bytes = SUPPLIER
    signer: Signer = field(default=OPERATOR_SIGNER)


@pytest.mark.anyio
async def test_a_long_stream_is_receipted_part_by_part(tmp_path: Path) -> None:
    credit = replace(CREDIT, interim_units=300)
    async with relay_world(
        tmp_path / "supplier", market=SameSpec(), engine=FakeEngine(tokens=TOKENS), credit=credit
    ) as world:
        known: Any = Known()
        async with (
            a_gateway(tmp_path / "gateway", known, url=world.url, timeouts=PATIENT) as gateway,
            gateway.client() as client,
        ):
            stream = await client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": "hi"}],
                max_tokens=64,
                stream=True,
            )
            text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
            await gateway.settled()
        book = world.books.sessions[a_session().id]
        line = world.books.account(book.facts).line
        total = WEIGHTS.units(PROMPT_TOKENS, 0, TOKENS)

        assert text == "x" * TOKENS
        assert gateway.results == ["ok"]
        assert book.totals.receipts == len(gateway.recounts) > 3
        assert book.totals.served == book.totals.receipted == book.totals.payable == total
        assert (book.relays, book.meter.reserved, line.outstanding) == ({}, 0, 0)
        assert gateway.ledger.summary()["total"]["units_receipted"] == total


@pytest.mark.anyio
@pytest.mark.parametrize("skew_s", [400.0, -400.0])
async def test_a_supplier_with_a_wrong_clock_says_so_and_loses_nothing(
    tmp_path: Path, skew_s: float
) -> None:
    offset_s = 0.0
    async with relay_world(
        tmp_path / "supplier", market=SameSpec(), clock=lambda: time.time() + offset_s
    ) as world:
        known: Any = Known()
        async with (
            a_gateway(tmp_path / "gateway", known, url=world.url, timeouts=PATIENT) as gateway,
            gateway.client() as client,
        ):

            async def ask() -> None:
                await client.with_options(max_retries=0).chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=8
                )

            await ask()
            offset_s = skew_s
            with pytest.raises(openai.InternalServerError, match="clock") as refused:
                await ask()
            offset_s = 0.0
            await ask()
            await gateway.settled()
        totals = world.books.sessions[a_session().id].totals

        assert refused.value.status_code == 503
        assert "by the supplier's clock" in str(refused.value)
        assert gateway.results == ["ok", "refused", "ok"]
        assert (totals.receipts, totals.lost) == (2, 0)
        assert totals.served == totals.receipted


@pytest.mark.anyio
async def test_two_applications_of_one_gateway_pay_each_for_its_own(tmp_path: Path) -> None:
    async with (
        relay_world(tmp_path / "supplier", market=SameSpec()) as world,
        a_gateway(tmp_path / "gateway", cast(Any, Known()), url=world.url, timeouts=PATIENT)
        as gateway,
    ):  # fmt: skip
        (mine,) = gateway.table.sessions.values()
        theirs = replace(mine, key=a_session(application=an_address("another")))
        gateway.table.replace(7, [mine, theirs], gateway.table.models)
        other, _ = gateway.keys.create("another's", theirs.key.application)
        nobody, _ = gateway.keys.create("of no delegation", an_address("nobody"))
        gateway.accounts.load(gateway.keys.list())

        async def ask(key: str) -> None:
            async with gateway.client(key) as client:
                await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=8
                )

        for key in (gateway.key, other, other):
            await ask(key)
        with pytest.raises(openai.NotFoundError):
            await ask(nobody)
        await gateway.settled()

        books = [world.books.sessions[each.key.id] for each in (mine, theirs)]
        assert [each.totals.receipts for each in books] == [1, 2]
        assert all(each.totals.receipted == each.totals.served > 0 for each in books)
        assert books[0].salt != books[1].salt
        assert world.books.account(books[0].facts) is world.books.account(books[1].facts)
