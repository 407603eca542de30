"""Receipts: durable before they are acknowledged, counted once, and every attack refused."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from relay_mining import (
    DELIVERY_RECEIPTS_MAX,
    Signer,
    build_batch,
    decode_ack,
    keccak,
    recover,
)
from supplier.mining.books import Books
from supplier.mining.miner import Miner
from supplier.mining.receipt_log import ReceiptLog
from supplier.mining.recovery import restore_books
from tests.factories import (
    DOMAIN,
    GATEWAY_SIGNER,
    OPERATOR_SIGNER,
    SUPPLIER,
    a_hash,
    a_session,
    an_address,
)
from tests.supplier.market import CREDIT, FakeMarket, batch, relay_world

pytestmark = pytest.mark.anyio
STRANGER = Signer(keccak(b"a stranger's key"))


async def test_receipts_are_acknowledged_once_durable_and_a_retry_changes_nothing(
    tmp_path: Path,
) -> None:
    async with relay_world(tmp_path) as world:
        served = [await world.relay() for _ in range(3)]
        receipts = tuple(world.receipt(*each) for each in served)
        for _ in range(2):
            answer = await world.deliver(*receipts)
            ack = decode_ack(answer.body)
            assert recover(DOMAIN.digest(ack.ack), ack.signature) == OPERATOR_SIGNER.address
        book = world.books.sessions[a_session().id]

        assert book.totals.receipts == 3
        assert len(list(world.log.receipts(7, book.session_id))) == 3
        assert book.meter.reserved == 0
        assert world.books.account(book.facts).line.receipted == book.totals.receipted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"units": 2**62}, "units"),
        ({"salt_hash": bytes(32)}, "salt"),
        ({"response_hash": bytes(32)}, "response"),
        ({"supplier": an_address("other")}, "supplier"),
    ],
)
async def test_a_false_receipt_is_refused(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    async with relay_world(tmp_path) as world:
        answer = await world.deliver(world.receipt(*await world.relay(), **change))

        assert answer.status == 422
        assert reason in orjson.loads(answer.body)["refused"][0]["reason"]
        assert list(world.log.receipts(7, a_session().id)) == []


async def test_one_unit_more_than_the_response_is_refused_and_one_less_is_taken(
    tmp_path: Path,
) -> None:
    async with relay_world(tmp_path) as world:
        signed, response = await world.relay()
        units = response.response.units
        assert (await world.deliver(world.receipt(signed, response, units=units + 1))).status == 422
        assert (await world.deliver(world.receipt(signed, response, units=units - 1))).status == 200
        assert (await world.deliver(world.receipt(signed, response, units=units))).status == 422


async def test_a_strangers_batch_and_a_truncated_one_are_refused(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        receipt = world.receipt(*await world.relay())
        assert (await world.deliver(receipt, signer=STRANGER)).status == 422
        whole = batch((receipt,), GATEWAY_SIGNER)
        for cut in (b"", whole[:-1], whole + b"\0", b"\2" + whole[1:]):
            answer = await world.pool.request(b"POST", world.url + "/lode/v1/receipts", (), cut)
            assert answer.status == 400
        assert list(world.log.receipts(7, a_session().id)) == []


async def test_a_delivery_that_names_two_gateways_is_refused_whole(tmp_path: Path) -> None:
    """Each gateway may cost a question to other relay servers, before anybody is authenticated."""
    async with relay_world(tmp_path) as world:
        good = world.receipt(*await world.relay())
        key = replace(a_session(), gateway=an_address("another"))
        answer = await world.deliver(good, (key, replace(good[1], session_id=key.id)))

        assert answer.status == 400
        assert b"more than one gateway" in answer.body
        assert list(world.log.receipts(7, a_session().id)) == []
        assert (await world.deliver(good)).status == 200


async def test_good_receipts_of_a_bad_batch_are_kept_and_acknowledged(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        first, bad, last = (
            world.receipt(*await world.relay()),
            world.receipt(*await world.relay(), units=2**40),
            world.receipt(*await world.relay()),
        )
        answer = await world.deliver(first, bad, last)
        said = orjson.loads(answer.body)
        ack = decode_ack(bytes.fromhex(said["acknowledged"]))

        assert answer.status == 422
        assert [each["receipt"] for each in said["refused"]] == [DOMAIN.digest(bad[1]).hex()]
        assert ack.ack.root == build_batch([DOMAIN.digest(each) for _, each in (first, last)]).root
        assert recover(DOMAIN.digest(ack.ack), ack.signature) == OPERATOR_SIGNER.address
        assert len(list(world.log.receipts(7, a_session().id))) == 2
        assert orjson.loads((await world.deliver(bad)).body)["acknowledged"] == ""


@pytest.mark.parametrize(("count", "status"), [(DELIVERY_RECEIPTS_MAX, 422), (None, 400)])
async def test_a_delivery_is_bounded(tmp_path: Path, count: int | None, status: int) -> None:
    async with relay_world(tmp_path) as world:
        receipt = world.receipt(*await world.relay(), units=2**40)
        whole = batch((receipt,) * DELIVERY_RECEIPTS_MAX, GATEWAY_SIGNER)
        one = (len(whole) - 70) // DELIVERY_RECEIPTS_MAX
        longer = whole[:66] + (DELIVERY_RECEIPTS_MAX + 1).to_bytes(4, "big") + whole[70:]
        body = whole if count else longer + whole[-one:]
        answer = await world.pool.request(b"POST", world.url + "/lode/v1/receipts", (), body)

        assert answer.status == status
        assert list(world.log.receipts(7, a_session().id)) == []


async def test_a_flood_of_receipts_of_unknown_relays_stops_at_the_slice(tmp_path: Path) -> None:
    market = FakeMarket(cap=3 * 50_000)
    async with relay_world(tmp_path, market=market) as world:
        signed, response = await world.relay()
        accepted = 0
        for index in range(20):
            change = {"request_hash": a_hash(index), "units": 10_000}
            answer = await world.deliver(world.receipt(signed, response, **change))
            accepted += answer.status == 200
        meter = world.books.sessions[a_session().id].meter

        assert accepted == 4
        assert meter.weight + meter.reserved <= 50_000
        assert (await world.deliver(world.receipt(signed, response))).status == 200


async def test_a_sealed_session_takes_no_more(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        first, second = await world.relay(), await world.relay()
        assert (await world.deliver(world.receipt(*first))).status == 200
        book = world.books.sessions[a_session().id]
        lost = world.books.seal(book)
        await world.log.seal(book.session_id)

        assert lost == second[1].response.units
        assert (await world.deliver(world.receipt(*second))).status == 422
        assert (await world.deliver(world.receipt(*first))).status == 200
        assert len(list(world.log.receipts(7, book.session_id))) == 1


async def test_the_books_are_rebuilt_from_the_log(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        for _ in range(5):
            await world.deliver(world.receipt(*await world.relay()))
        before = world.books.sessions[a_session().id]

    log, books = ReceiptLog(tmp_path / "receipts"), Books(SUPPLIER, CREDIT)
    assert restore_books(books, log, DOMAIN, time.time()) == 5
    after = books.sessions[a_session().id]
    await log.close()
    assert (after.meter.weight, after.receipts) == (before.meter.weight, before.receipts)
    assert after.totals == before.totals
    line = books.account(after.facts).line
    assert (line.receipted, line.outstanding) == (before.totals.receipted, 0)


async def test_a_new_operator_key_keeps_the_salt_of_what_the_old_one_served(
    tmp_path: Path,
) -> None:
    async with relay_world(tmp_path) as world:
        served = [await world.relay() for _ in range(3)]
        receipts = [world.receipt(*each) for each in served]
        await world.deliver(receipts[0])
    async with relay_world(tmp_path, signer=Signer(keccak(b"a rotated key"))) as world:
        assert (await world.deliver(*receipts)).status == 200
        book = world.books.sessions[a_session().id]

        assert book.salt == OPERATOR_SIGNER.session_salt(a_session().id)
        assert book.totals.receipts == 3
        miner = Miner(SUPPLIER, DOMAIN, world.log)
        assert sum(each.leaf.weight for each in miner.leaves(book)) == book.meter.weight
        assert "salt" not in repr(next(iter(world.log.replay())))


async def test_receipts_of_a_session_without_any_are_taken_after_a_restart(
    tmp_path: Path,
) -> None:
    async with relay_world(tmp_path) as world:
        receipt = world.receipt(*await world.relay())
    async with relay_world(tmp_path) as world:
        assert (await world.deliver(receipt)).status == 200
        assert world.market.asked == 0


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.supplier.market import relay_world

async def main():
    async with relay_world(Path(sys.argv[1])) as world:
        while True:
            receipt = world.receipt(*await world.relay())
            answer = await world.deliver(receipt)
            assert answer.status == 200
            print(receipt[1].response_hash.hex(), flush=True)

asyncio.run(main())
"""


async def test_kill_9_loses_no_acknowledged_receipt(tmp_path: Path) -> None:
    child = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.stdout is not None
    acknowledged = [await asyncio.to_thread(child.stdout.readline) for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.readlines()
    child.wait()
    child.stdout.close()

    log, books = ReceiptLog(tmp_path / "receipts"), Books(SUPPLIER, CREDIT)
    restore_books(books, log, DOMAIN, time.time())
    logged = {each.response_hash.hex() for each in log.receipts(7, a_session().id)}
    await log.close()
    assert {line.decode().strip() for line in acknowledged if line.endswith(b"\n")} <= logged
