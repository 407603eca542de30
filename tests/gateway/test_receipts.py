"""Receipts arrive: late, after refusals, after a restart; and always the same ones."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ChainUnavailableError
from gateway.settlement.delivery import SupplierAddress
from gateway.settlement.outbox import (
    Outbox,
    OwedReceipt,
    encode_lowered,
    encode_owed,
    encode_settled,
)
from relay_mining import Address
from tests.factories import GATEWAY_SIGNER, WEIGHTS, a_hash, a_session, an_address
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway

HI = [{"role": "user", "content": "hi"}]


def owed(number: int, *, supplier: int = 0, units: int = 100, session: int = 7) -> OwedReceipt:
    return OwedReceipt(
        a_session(number=session), GATEWAY_SIGNER.address, an_address(supplier),
        a_hash(f"q{number}"), a_hash(f"r{number}"), a_hash("salt"), units,
    )  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("osl"), st.integers(0, 5), st.integers(0, 100))))
def test_a_replayed_outbox_is_the_one_that_was(steps: list[tuple[str, int, int]]) -> None:
    live, records = Outbox(), []
    for kind, number, units in steps:
        one = owed(number, supplier=number % 2)
        if kind == "o":
            live.add(one)
            records.append(encode_owed(one))
        elif kind == "s":
            live.settle((one.response_hash,))
            records.append(encode_settled(one.response_hash))
        else:
            live.lower(one.response_hash, units)
            records.append(encode_lowered(one.response_hash, units))
    again = Outbox()
    again.replay(records)
    assert set(again) == set(live)
    assert len(again) == len(live) == len(set(live))


@pytest.mark.parametrize("record", [b"", b"\x06", b"\x00" * 40])
def test_a_foreign_record_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match="kind"):
        Outbox().replay([record])


def test_old_sessions_expire_and_batches_are_of_one_supplier() -> None:
    outbox = Outbox()
    for number in range(4):
        outbox.add(owed(number, supplier=number % 2, session=number))
    assert {each.session.number for each in outbox.expired(2)} == {0, 1}
    assert [each.response_hash for each in outbox.next_batch(an_address(0), 9)] == [
        a_hash("r0"), a_hash("r2")
    ]  # fmt: skip
    assert len(outbox.next_batch(an_address(0), 1)) == 1
    assert outbox.next_batch(an_address(9), 9) == ()


@pytest.mark.anyio
async def test_they_are_sent_again_until_acknowledged(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", refuse_receipts=2)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        await client.chat.completions.create(model=MODEL, messages=HI)
        await gateway.settled()
        assert fake.deliveries == 3
        assert len(fake.receipts) == 1


@pytest.mark.anyio
async def test_how_long_a_supplier_has_taken_none_is_known(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", refuse_receipts=10**9)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        assert gateway.deliverer.overdue_s == 0
        await client.chat.completions.create(model=MODEL, messages=HI)
        async with asyncio.timeout(10):
            while not (first := gateway.deliverer.overdue_s):
                await asyncio.sleep(0.01)
            refused = fake.deliveries
            while fake.deliveries == refused:
                await asyncio.sleep(0.01)
        assert gateway.deliverer.overdue_s > first
        fake.refuse_receipts = 0
        await gateway.settled()
        assert gateway.deliverer.overdue_s == 0


@pytest.mark.anyio
async def test_a_killed_gateway_sends_them_after_its_restart(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", refuse_receipts=10**9)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        for _ in range(3):
            await client.chat.completions.create(model=MODEL, messages=HI)
        async with asyncio.timeout(10):
            while len(gateway.recounts) < 3:
                await asyncio.sleep(0.01)
    assert not fake.receipts
    fake.refuse_receipts = 0
    async with a_gateway(tmp_path, fake) as gateway:
        await gateway.settled()
        assert {each.units for each in fake.receipts.values()} == {
            each.units for each in fake.responses.values()
        }
        assert len(fake.receipts) == 3
        summary = gateway.ledger.summary()["total"]
        assert summary["requests"] == summary["receipts"] == 3


@pytest.mark.anyio
async def test_receipts_wait_while_the_chain_does_not_say_whose_they_are(tmp_path: Path) -> None:
    """As after a restart, when no supplier's place is known yet."""
    fake, looks = FakeSupplier("honest"), 0
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        known = gateway.deliverer.locate

        async def locate(supplier: Address, number: int) -> SupplierAddress:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise ChainUnavailableError(())
            return await known(supplier, number)

        gateway.deliverer.locate = locate
        await client.chat.completions.create(model=MODEL, messages=HI)
        await gateway.settled()
        assert len(fake.receipts) == 1
    assert looks > 1


@pytest.mark.anyio
async def test_what_is_good_in_a_refused_delivery_is_acknowledged_at_once(tmp_path: Path) -> None:
    units = WEIGHTS.units(8, 0, 12)
    fake = FakeSupplier("picky", refuse_units=frozenset({units + WEIGHTS.units(1, 0, 0) - 100}))
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        ask = client.chat.completions.create
        longer = [{"role": "user", "content": "hi!"}]
        await asyncio.gather(
            *(ask(model=MODEL, messages=each, seed=i) for i in range(5) for each in (HI, longer))
        )
        await gateway.settled()
        assert {each.units for each in fake.receipts.values()} == {units}
        assert (gateway.deliverer.delivered, gateway.deliverer.refused) == (5, 5)
        assert fake.deliveries < 5
        state = gateway.standing.of(fake.supplier)
        assert (state.owed, state.receipted) == (0, 5 * units)


@pytest.mark.anyio
async def test_a_receipt_is_never_sent_before_it_is_lowered(tmp_path: Path) -> None:
    fake = FakeSupplier("liar", "inflate")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        slow = gateway.settler.log.append

        async def append(record: bytes) -> None:
            await slow(record)
            await asyncio.sleep(0.1)  # the deliverer looks every 20 ms

        gateway.settler.log.append = append  # type: ignore[method-assign]
        await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=1024)
        await gateway.settled()
        assert [each.units for each in fake.receipts.values()] == [WEIGHTS.units(8, 0, 12)]


@pytest.mark.anyio
async def test_many_receipts_share_a_signature(tmp_path: Path) -> None:
    fake = FakeSupplier("honest")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        ask = client.chat.completions.create
        await asyncio.gather(*(ask(model=MODEL, messages=HI, seed=i) for i in range(40)))
        await gateway.settled()
        assert len(fake.receipts) == 40
        assert fake.deliveries < 40
