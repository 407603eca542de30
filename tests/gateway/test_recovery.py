"""After a kill each accepted response is charged once, as it is receipted, and nothing is open."""

from itertools import product
from pathlib import Path

import openai
import pytest

from gateway.books.ledger import Ledger
from gateway.books.recovery import recover
from gateway.routing.observation import Ended, Observation, Recount, Result
from gateway.settlement.outbox import encode_lowered, encode_owed, read_accepted
from gateway.settlement.spool import Spool
from node.append_log import AppendLog
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway
from tests.gateway.test_bills import an_owed

pytestmark = pytest.mark.anyio
PRICE = 7
PARTS = [an_owed(0, 100, PRICE), an_owed(1, 200, PRICE)]
REQUEST = b"r" * 16


def a_try(owed: int) -> Observation:
    """The stream's, of which `owed` parts were accepted."""
    first = PARTS[0]
    return Observation(
        first.supplier, first.session, MODEL, "key_1", Result.OK, True, True, 0.0, units=200,
        price=PRICE, request=REQUEST, request_hash=first.request_hash, owed=owed,
    )  # fmt: skip


def a_recount(part: int, units: int) -> Recount:
    owed = PARTS[part]
    return Recount(
        owed.supplier, owed.session, MODEL, "key_1", owed.request_hash, 100, units, 5, 5, False,
        PRICE, REQUEST, owed,
    )  # fmt: skip


async def restart(log: AppendLog, records: list[bytes]) -> Ledger:
    """The ledger of a gateway that finds these logs."""
    ledger = Ledger(log)
    ledger.replay(log.replay())
    recover(ledger, log.replay(), read_accepted(records).values())
    await ledger.flush()
    return ledger


@pytest.mark.parametrize(
    ("is_tried", "counted", "receipted"),
    list(product((False, True), ([], [0], [1], [0, 1]), ([100, 100], [60, 100], [100, 0], [0, 0]))),
)
async def test_a_stream_is_charged_as_receipted_whatever_was_written_of_it(
    tmp_path: Path, is_tried: bool, counted: list[int], receipted: list[int]
) -> None:
    records = [encode_owed(each) for each in PARTS]
    for each, units in zip(PARTS, receipted, strict=True):
        if units < each.units:
            records.append(encode_lowered(each.response_hash, units))
    async with AppendLog(tmp_path) as log:
        killed = Ledger(log)
        if is_tried:
            killed.observe(a_try(len(PARTS)))
        for part in counted:
            killed.observe(a_recount(part, receipted[part]))
        await killed.flush()
        for _ in range(2):
            ledger = await restart(log, records)
            assert ledger.totals.keys["key_1"].cost == PRICE * sum(receipted)
            assert ledger.totals.keys["key_1"].units_receipted == sum(receipted)
            assert not ledger.requests.open


@pytest.mark.parametrize("is_ended", [False, True])
async def test_a_request_whose_debt_was_lost_is_over_for_good(
    tmp_path: Path, is_ended: bool
) -> None:
    async with AppendLog(tmp_path) as log:
        killed = Ledger(log)
        killed.observe(a_try(2))
        killed.observe(a_recount(0, 100))
        if is_ended:
            killed.record(Ended(REQUEST, "key_1", MODEL))
        await killed.flush()
        for _ in range(2):
            ledger = await restart(log, [encode_owed(PARTS[0])])
            assert ledger.requests.summary()["in_flight"] == 0
            assert ledger.requests.summary()["paid"] == 1
            written = len(list(log.replay()))
        assert written == 2


def no_space(_: Spool, payload: bytes) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_whose_debt_cannot_be_kept_is_not_charged(
    tmp_path: Path, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        monkeypatch.setattr(Spool, "add", no_space)
        with pytest.raises(openai.APIError) as refused:
            answer = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=stream
            )
            if stream:
                assert [each async for each in answer]
        assert refused.value.code == "internal_error"
        assert gateway.results == ["interrupted"]
        requests = gateway.ledger.requests.summary()
        assert (requests["failed"], requests["in_flight"]) == (1, 0)
        assert gateway.ledger.totals.keys[gateway.key_id].cost == 0
        assert gateway.standing.of(gateway.suppliers[0].supplier).reserved == 0
