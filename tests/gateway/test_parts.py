"""Streams signed in parts: each is verified, recounted, receipted once; every lie is refused."""

import asyncio
from pathlib import Path

import openai
import pytest

from relay_mining import Status
from tests.factories import WEIGHTS
from tests.gateway.fakes import NOTHINGS, FakeSupplier, encode
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "hi"}]
WORDS = ["one ", "two ", "three ", "four ", "five ", "six ", "seven "]
INPUTS = 8
LIES = [
    "part goes down", "part adds nothing", "part comes again", "part is skipped",
    "part of another body", "part above maxUnits",
]  # fmt: skip


def units(words: int) -> int:
    """Units of the first words of the answer."""
    return WEIGHTS.units(INPUTS, 0, len(encode("".join(WORDS[:words]))))


async def ask(gateway: Gateway) -> str:
    async with gateway.client() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=HI, stream=True, max_tokens=1024
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_each_part_is_receipted_with_what_it_adds(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", words=WORDS, part_every=2)
    async with a_gateway(tmp_path, fake) as gateway:
        assert await ask(gateway) == "".join(WORDS)
        await gateway.settled()
        receipts = [each.units for each in fake.receipts.values()]
        total = gateway.ledger.summary()["total"]
        state = gateway.standing.of(fake.supplier)

        assert [each.status for each in fake.parts] == [Status.PARTIAL] * 3 + [Status.OK]
        assert receipts == [units(2), units(4) - units(2), units(6) - units(4),
                            units(7) - units(6)]  # fmt: skip
        assert total["units_served"] == total["units_receipted"] == units(7)
        assert (total["requests"], total["receipts"]) == (1, 4)
        assert (state.owed, state.reserved, state.receipted) == (0, 0, units(7))


async def test_a_part_is_receipted_while_the_stream_goes_on(tmp_path: Path) -> None:
    pause = asyncio.Event()
    fake = FakeSupplier("honest", words=["one ", "two "], part_every=1, pause=pause)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        fake.words = ["one ", "two ", "three "]
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        assert not fake.receipts
        pause.set()
        assert [chunk async for chunk in stream]
        await gateway.settled()
        assert len(fake.receipts) == 3


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_about_a_part_ends_the_stream_and_is_not_receipted(
    tmp_path: Path, lie: str
) -> None:
    fake = FakeSupplier("liar", lie, words=WORDS, part_every=2)
    async with a_gateway(tmp_path, fake) as gateway:
        with pytest.raises(openai.APIError, match=r"not acceptable|units of"):
            await ask(gateway)
        await gateway.settled()
        state = gateway.standing.of(fake.supplier)

        assert gateway.results == ["invalid"]
        assert [each.units for each in fake.receipts.values()] == [units(2)]
        assert (state.owed, state.reserved, state.in_flight) == (0, 0, 0)
        assert gateway.ledger.summary()["total"]["units_served"] == units(2)


async def test_a_part_of_a_plain_answer_is_refused(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("liar", "plain part")) as gateway:
        async with gateway.client() as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model=MODEL, messages=HI)
        assert caught.value.code == "upstream_invalid"
        await gateway.settled()
        assert not gateway.suppliers[0].receipts


async def test_an_overclaim_in_parts_is_cut_to_the_recount(tmp_path: Path) -> None:
    fake = FakeSupplier("liar", "inflate", words=WORDS[:3], part_every=1)
    async with a_gateway(tmp_path, fake) as gateway:
        await ask(gateway)
        await gateway.settled()
        assert sum(each.units for each in fake.receipts.values()) == units(3)
        assert any(each.is_overclaim for each in gateway.recounts)
        assert gateway.standing.of(fake.supplier).is_dropped


async def test_a_stream_the_supplier_refuses_to_go_on_with_is_paid_as_far_as_it_went(
    tmp_path: Path,
) -> None:
    fake = FakeSupplier("refuses", "refuses", words=WORDS, part_every=2)
    async with a_gateway(tmp_path, fake) as gateway:
        with pytest.raises(openai.APIError, match="does not go on"):
            await ask(gateway)
        await gateway.settled()
        assert [each.units for each in fake.receipts.values()] == [units(2)]


@pytest.mark.parametrize("lie", NOTHINGS)
async def test_who_gives_the_client_nothing_is_not_paid_for_its_prompt(
    tmp_path: Path, lie: str
) -> None:
    fake = FakeSupplier("idle", lie)
    async with a_gateway(tmp_path, fake) as gateway:
        with pytest.raises(openai.InternalServerError) as caught:
            await ask(gateway)
        await gateway.settled()
        assert caught.value.code == "upstream_broken"
        assert gateway.results == ["broken"]
        assert not fake.receipts


async def test_a_client_that_leaves_costs_what_is_beyond_the_last_part(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", words=WORDS, part_every=1, pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        await stream.close()
        async with asyncio.timeout(10):
            while not gateway.results:
                await asyncio.sleep(0.01)
        await gateway.settled()
        assert gateway.results == ["client_abort"]
        assert sum(each.units for each in fake.receipts.values()) == units(1)


async def test_a_killed_gateway_delivers_its_parts_after_a_restart(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", words=WORDS, part_every=2, refuse_receipts=10**9)
    async with a_gateway(tmp_path, fake) as gateway:
        await ask(gateway)
        async with asyncio.timeout(10):
            while len(gateway.recounts) < 4:
                await asyncio.sleep(0.01)
    fake.refuse_receipts = 0
    async with a_gateway(tmp_path, fake) as gateway:
        await gateway.settled()
        assert sum(each.units for each in fake.receipts.values()) == units(7)
        assert len(fake.receipts) == 4


async def test_a_stream_that_goes_on_elsewhere_is_paid_once(tmp_path: Path) -> None:
    idle, honest = FakeSupplier("idle", "answer of nothing"), FakeSupplier("honest", words=WORDS)
    async with a_gateway(tmp_path, idle, honest) as gateway:
        while not idle.served:
            assert await ask(gateway) == "".join(WORDS)
        await gateway.settled()
        assert not idle.receipts
        assert gateway.ledger.totals.suppliers["0x" + idle.supplier.hex()].cost == 0
